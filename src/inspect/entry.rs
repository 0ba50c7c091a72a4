//! Values as they are typed: a control for each type, and what was typed as the library reads it.
//!
//! What was typed is never written anew: it is in the control again, letter for letter, when it was refused.

use maud::{Markup, html};

use super::show;
use crate::{FieldId, FormValue, Kind, Value};

/// The name of the control.
pub(super) const VALUE: &str = "value";
/// The same for what is shown to nobody, also not to whoever typed it.
pub(super) const PASSWORD: &str = "password";

/// What somebody may type in the place of a value.
pub(super) struct Entry<'a> {
    /// The attribute, or `form_fields.NAME`.
    pub(super) field: &'a str,
    /// JSON text: what stands there at first.
    pub(super) json: &'a str,
    /// What was typed and refused.
    pub(super) typed: Option<&'a str>,
    /// By which its parts are told from those of others on the page.
    pub(super) id: &'a str,
    /// What is done with it, before the name of the attribute.
    pub(super) label: &'a str,
    /// Why what was typed was refused.
    pub(super) refusal: Option<&'a str>,
}

impl Entry<'_> {
    /// The control, with its label.
    pub(super) fn control(&self) -> Markup {
        let id = format!("value-{}", self.id);
        html! {
            label for=(id) { (self.label) " " bdi { (show::field_within(self.field)) } }
            (self.input(&id))
            @if let Some(hint) = self.hint() { p.hint id={ (id) "-hint" } { (hint) } }
            @if let Some(refusal) = self.refusal { p.problem id={ (id) "-problem" } { (show::plain(refusal)) } }
        }
    }

    fn input(&self, id: &str) -> Markup {
        let text = self.text();
        let invalid = self.refusal.map(|_| "true");
        let about = [self.hint().map(|_| "hint"), self.refusal.map(|_| "problem")].into_iter().flatten();
        let about = about.map(|part| format!("{id}-{part}")).collect::<Vec<_>>().join(" ");
        let about = Some(about).filter(|ids| !ids.is_empty());
        let kind = FieldId::named(self.field).map(FieldId::kind);
        let is_long = FieldId::named(self.field).is_some_and(FieldId::is_unbounded) || text.contains('\n');
        match kind {
            Some(Kind::Boolean) => html! {
                select id=(id) name=(VALUE) aria-invalid=[invalid] aria-describedby=[&about] {
                    @for (value, word) in [("true", "yes"), ("false", "no")] {
                        option value=(value) selected[text == value] { (word) }
                    }
                }
            },
            Some(Kind::Password) => html! {
                input type="password" id=(id) name=(PASSWORD) autocomplete="new-password" aria-invalid=[invalid]
                    aria-describedby=[&about];
            },
            Some(Kind::Integer | Kind::Credit) => html! {
                input type="text" id=(id) name=(VALUE) value=(text) autocomplete="off" inputmode="decimal"
                    aria-invalid=[invalid] aria-describedby=[&about];
            },
            _ if is_long => html! {
                textarea id=(id) name=(VALUE) rows="5" dir="auto" autocomplete="off" aria-invalid=[invalid]
                    aria-describedby=[&about] { "\n" (text) }
            },
            _ => html! {
                input type="text" id=(id) name=(VALUE) value=(text) dir="auto" autocomplete="off"
                    aria-invalid=[invalid] aria-describedby=[&about];
            },
        }
    }

    fn hint(&self) -> Option<&'static str> {
        Some(match FieldId::named(self.field).map(FieldId::kind)? {
            Kind::Credit => "The whole balance, with the cents behind a point: 57.50",
            Kind::Channels => "The numbers of the channels, with commas between them: 1, 2",
            Kind::Forms => "One a line: name, colon, value",
            Kind::Password => "It is sent, and shown to nobody.",
            _ => return None,
        })
    }

    /// What stands in the control.
    fn text(&self) -> String {
        self.typed.map_or_else(|| as_typed(self.field, self.json), str::to_owned)
    }
}

/// A value as somebody would type it.
fn as_typed(field: &str, json: &str) -> String {
    let Some(field) = FieldId::named(field) else { return form_as_typed(&FormValue::from_json(json)) };
    match Value::from_json(field.kind(), json) {
        Value::Text(_) if field.is_secret() => String::new(),
        Value::Text(text) => text,
        Value::Integer(number) => number.to_string(),
        Value::Boolean(yes) => yes.to_string(),
        Value::Credit(amounts) => amounts.first().map(|sum| crate::money(*sum)).unwrap_or_default(),
        Value::Channels(ids) => ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", "),
        Value::Forms(entries) if entries.iter().any(has_lines) => Value::Forms(entries).to_json(),
        Value::Forms(entries) => {
            let line = |(name, value): (&String, &FormValue)| format!("{name}: {}", form_as_typed(value));
            entries.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        Value::Null => String::new(),
        Value::Other(json) => json,
    }
}

/// What cannot stand in a line of its own is typed as JSON.
fn has_lines((name, value): (&String, &FormValue)) -> bool {
    name.contains('\n') || form_as_typed(value).contains('\n')
}

fn form_as_typed(value: &FormValue) -> String {
    match value {
        FormValue::Text(text) => text.clone(),
        FormValue::Number(number) => number.clone(),
        FormValue::List(items) => items.join(", "),
        FormValue::Other(json) if json == "null" => String::new(),
        FormValue::Other(json) => json.clone(),
    }
}

/// What was typed, as the library reads a value of that attribute; `before`, JSON text, tells the types of form fields. Nothing is
/// guessed: what may mean two things is refused, with how to write it.
pub(super) fn read(field: &str, typed: &str, before: &str) -> Result<String, String> {
    // A browser sends lines as the network writes them.
    let typed = typed.replace("\r\n", "\n");
    let Some(field) = FieldId::named(field) else { return form_by_type(&typed, before) };
    match field.kind() {
        Kind::Credit => amount(typed.trim()),
        Kind::Integer => whole_number(typed.trim()),
        Kind::Channels => channels(&typed),
        Kind::Forms if !typed.trim_start().starts_with('[') => forms_by_line(&typed, before),
        Kind::Boolean => Ok(typed.trim().to_owned()),
        _ => Ok(typed),
    }
}

fn amount(typed: &str) -> Result<String, String> {
    match typed {
        _ if is_amount(typed) => Ok(format!("[{{\"amount\":{typed}}}]")),
        "" => Err("Type an amount, such as 57.50. No credit is 0.".to_owned()),
        _ if typed.contains(',') => Err(format!(
            "“{typed}” can be read in two ways, for a comma parts thousands in some countries and cents in others. Write the cents behind a \
             point, such as 12.50."
        )),
        _ => Err(format!(
            "“{typed}” is no amount. Write it in digits, with the cents behind a point, such as 57.50."
        )),
    }
}

fn whole_number(typed: &str) -> Result<String, String> {
    let is_one = typed.parse::<i64>().is_ok();
    if is_one {
        Ok(typed.to_owned())
    } else {
        Err(format!("“{typed}” is no whole number. Write it in digits, such as 3."))
    }
}

fn channels(typed: &str) -> Result<String, String> {
    let ids = typed.split(',').map(|id| id.trim().parse::<i64>().ok()).collect::<Option<Vec<_>>>();
    match ids {
        Some(ids) => Ok(format!("[{}]", ids.iter().map(i64::to_string).collect::<Vec<_>>().join(","))),
        None => {
            Err("Write at least one channel: their numbers, with commas between them, such as 1, 2."
                .to_owned())
        }
    }
}

/// The digits of an amount as JSON has them.
fn is_amount(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|sign| sign.is_ascii_digit());
    are_digits(whole) && are_digits(part) && (whole == "0" || !whole.starts_with('0'))
}

/// The library reads one form field by the type that it has; of a list it wants JSON.
fn form_by_type(typed: &str, before: &str) -> Result<String, String> {
    match FormValue::from_json(before) {
        FormValue::List(_) => Ok(items_of(typed).to_json()),
        FormValue::Number(number) => form_number(typed, &number),
        _ => Ok(typed.to_owned()),
    }
}

/// A number stays one; as it stood it may have been spelled in more ways.
fn form_number(typed: &str, before: &str) -> Result<String, String> {
    let typed = typed.trim();
    match is_amount(typed) || typed == before {
        true => Ok(typed.to_owned()),
        false => Err(format!(
            "“{typed}” is no number. Write it in digits, with a point where it has a part: 42.5."
        )),
    }
}

fn items_of(typed: &str) -> FormValue {
    let items = typed.split(',').map(str::trim).filter(|item| !item.is_empty());
    FormValue::List(items.map(str::to_owned).collect())
}

/// Each line an entry, of the type that it had.
fn forms_by_line(typed: &str, before: &str) -> Result<String, String> {
    let Value::Forms(before) = Value::from_json(Kind::Forms, before) else { return Ok(typed.to_owned()) };
    let mut entries = std::collections::BTreeMap::new();
    for line in typed.lines().filter(|line| !line.trim().is_empty()) {
        let parted = split(line, before.keys());
        let (name, value) =
            parted.ok_or_else(|| format!("“{line}” has no colon. Write name, colon, value."))?;
        let value = match before.get(name) {
            Some(FormValue::List(_)) => items_of(value),
            Some(FormValue::Number(number)) => FormValue::Number(form_number(value, number)?),
            _ => FormValue::Text(value.to_owned()),
        };
        entries.insert(name.to_owned(), value);
    }
    Ok(Value::Forms(entries).to_json())
}

/// A name may hold a colon itself: one that is known comes first.
fn split<'l>(line: &'l str, known: impl Iterator<Item = &'l String>) -> Option<(&'l str, &'l str)> {
    let of_known =
        |name: &'l String| Some((name.as_str(), line.strip_prefix(name.as_str())?.strip_prefix(':')?));
    let longest = known.filter_map(of_known).max_by_key(|(name, _)| name.len());
    let (name, value) = longest.or_else(|| line.split_once(':'))?;
    Some((name.trim(), value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(field: &str, json: &str, typed: &str, read_again: &str) {
        assert_eq!(as_typed(field, json), typed, "{field}");
        assert_eq!(read(field, typed, json).as_deref(), Ok(read_again), "{field}");
    }

    #[test]
    fn what_stands_in_a_control_is_read_as_the_value_that_it_was() {
        check("phone", "\"+49 30\"", "+49 30", "+49 30");
        check("customer_group_id", "3", "3", "3");
        check("store_credit_amounts", r#"[{"amount":12.5}]"#, "12.50", r#"[{"amount":12.50}]"#);
        check("channel_ids", "[2,1]", "1, 2", "[1,2]");
        check("form_fields.Size", "4.25", "4.25", "4.25");
        check("form_fields.Size", "43", "43", "43");
        check("form_fields.Colours", r#"["red","blue"]"#, "red, blue", r#"["red","blue"]"#);
        let forms = r#"[{"name":"a","value":"1"},{"name":"a: b","value":"x: y"},{"name":"size","value":7}]"#;
        check("form_fields", forms, "a: 1\na: b: x: y\nsize: 7", forms);
    }

    #[test]
    fn what_is_no_value_is_refused_in_words_of_a_shop() {
        for (field, typed, before) in [
            ("store_credit_amounts", "12,50", "[]"),
            ("store_credit_amounts", "1.250,00", "[]"),
            ("store_credit_amounts", "abc", "[]"),
            ("store_credit_amounts", "", "[]"),
            ("store_credit_amounts", "1e3", "[]"),
            ("customer_group_id", "three", "1"),
            ("channel_ids", "", "null"),
            ("channel_ids", "1; 2", "[1]"),
            ("form_fields.Size", "42,5", "42"),
            ("form_fields", "Size 42", "[]"),
            ("form_fields", "Size: large", r#"[{"name":"Size","value":42}]"#),
        ] {
            let why = read(field, typed, before).unwrap_err();
            assert!(!["JSON", "array", "null"].iter().any(|word| why.contains(word)), "{why}");
        }
        let comma = read("store_credit_amounts", "12,50", "[]").unwrap_err();
        assert!(comma.contains("“12,50” can be read in two ways"), "{comma}");
        assert_eq!(read("store_credit_amounts", " 0.5 ", "[]").unwrap(), r#"[{"amount":0.5}]"#);
        assert_eq!(read("notes", "a\r\nb", "\"\"").unwrap(), "a\nb");
    }
}
