//! The table of fields in, SQL out.

use super::Object;
use crate::customer::{Access, CHANNEL_IDS, CREDIT_DIGITS, FIELDS, Field, GROUP_IDS, Kind};

/// Every statement, with the comments of the templates between them.
pub(super) fn script() -> String {
    let mut parts = vec![
        include_str!("sql/checks.sql").to_owned(),
        include_str!("sql/guards.sql").to_owned(),
        read_only(),
    ];
    parts.extend(FIELDS.iter().filter(|field| field.access == Access::Editable).map(field));
    parts.push(include_str!("sql/adjustment.sql").to_owned());
    parts.join("\n")
}

/// The triggers of one field, from the template of its kind.
fn field(field: &Field) -> String {
    let (name, path) = (field.name, path(field));
    let (least, most) = field.limit_chars;
    let named = |template: &str| fill(template, &[("field", name), ("path", &path)]);
    match field.kind {
        Kind::Text => fill(
            &named(include_str!("sql/text.sql")),
            &[("length", &length(field)), ("least", &least.to_string()), ("most", &limit(most))],
        ),
        Kind::Integer => range(&named(include_str!("sql/integer.sql")), GROUP_IDS),
        Kind::Boolean => named(include_str!("sql/boolean.sql")),
        Kind::Channels => range(&named(include_str!("sql/channels.sql")), CHANNEL_IDS),
        Kind::Forms => named(include_str!("sql/forms.sql")),
        Kind::Credit => {
            let (whole, fraction) = CREDIT_DIGITS;
            let digits = [("whole", &*whole.to_string()), ("fraction", &fraction.to_string())];
            fill(&named(include_str!("sql/credit.sql")), &digits)
        }
        Kind::Password => fill(
            &named(include_str!("sql/password.sql")),
            &[("least", &least.to_string()), ("most", &limit(most))],
        ),
        Kind::Json => String::new(),
    }
}

/// What only the store sets.
fn read_only() -> String {
    let fixed = || FIELDS.iter().filter(|field| field.access != Access::Editable);
    let columns: Vec<&str> = fixed().map(|field| field.name).collect();
    let cases = fixed().map(|field| {
        let (name, why) = (field.name, why_fixed(field.access));
        format!("WHEN NEW.{name} IS NOT OLD.{name} THEN '{name}: {why}'")
    });
    let cases: Vec<String> = cases.collect();
    fill(
        include_str!("sql/read_only.sql"),
        &[("columns", &columns.join(", ")), ("cases", &cases.join("\n        "))],
    )
}

fn why_fixed(access: Access) -> &'static str {
    access.refusal().unwrap_or_default()
}

/// Where the snapshot's JSON has it.
fn path(field: &Field) -> String {
    match field.parent {
        None => format!("$.{}", field.name),
        Some(parent) => format!("$.{parent}.{}", field.name),
    }
}

/// What is seen at a glance of a text that is too short or too long.
fn length(field: &Field) -> String {
    let (name, (least, most)) = (field.name, field.limit_chars);
    let mut either = String::new();
    if least > 0 {
        either += &format!(" OR length(NEW.{name}) < {least}");
    }
    if most < usize::MAX {
        either += &format!(" OR length(NEW.{name}) > {most}");
    }
    either
}

fn limit(most: usize) -> String {
    if most == usize::MAX { "NULL".to_owned() } else { most.to_string() }
}

fn range(template: &str, (least, most): (i64, i64)) -> String {
    fill(template, &[("least", &least.to_string()), ("most", &most.to_string())])
}

/// A template with its places filled in. Braces that name no place are SQL's own: JSON.
fn fill(template: &str, places: &[(&str, &str)]) -> String {
    places.iter().fold(template.to_owned(), |sql, (place, value)| sql.replace(&format!("{{{place}}}"), value))
}

/// The statements of a script: each begins with a line `CREATE …`; a trigger ends with a line `END;`, a view with the first
/// line that ends in `;`.
pub(super) fn statements(script: &str) -> Vec<Object> {
    let (mut objects, mut open): (Vec<Object>, Option<String>) = (Vec::new(), None);
    for line in script.lines() {
        let Some(mut sql) = open.take().or_else(|| line.starts_with("CREATE ").then(String::new)) else {
            continue;
        };
        sql.push_str(line);
        let is_over = if sql.starts_with("CREATE TRIGGER") { line == "END;" } else { line.ends_with(';') };
        if is_over {
            objects.push(object(sql.trim_end_matches(';')));
        } else {
            sql.push('\n');
            open = Some(sql);
        }
    }
    objects
}

fn object(sql: &str) -> Object {
    let mut words = sql.split_whitespace().skip(1);
    let kind = if words.next() == Some("VIEW") { "VIEW" } else { "TRIGGER" };
    Object { kind, name: words.next().unwrap_or_default().to_owned(), sql: sql.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sql_as_it_comes_out() {
        insta::assert_snapshot!(script());
    }

    #[test]
    fn no_place_of_a_template_is_left_open() {
        let open = script()
            .lines()
            .filter(|line| {
                let places = line.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
                places.clone().any(|place| {
                    !place.is_empty() && place.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                })
            })
            .map(str::to_owned)
            .collect::<Vec<_>>();
        assert_eq!(open, Vec::<String>::new());
    }

    #[test]
    fn every_statement_is_one_object() {
        let made = script().lines().filter(|line| line.starts_with("CREATE ")).count();
        let names: std::collections::BTreeSet<String> =
            statements(&script()).into_iter().map(|object| object.name).collect();
        assert_eq!(names.len(), made);
    }
}
