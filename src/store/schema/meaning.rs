//! When two spellings of a value mean the same, in SQL: what is no edit, and is never refused.
//!
//! Mappers write every column back, in words of their own: JSON with other spaces, an instant with another zone, `false`
//! for 0. And what the store has need not be what it would take. So a field is held against what it was by its meaning, before
//! anything else is asked of it. Only what SQLite 3.37 has may be used: `->` came with 3.38.

use crate::customer::{Access, Field, Kind};

/// Whether `NEW` and `OLD`, which are spelled differently, mean the same; `None`: each spelling is a value of its own.
pub(super) fn same(field: &Field) -> Option<String> {
    let both = |meaning: &dyn Fn(&str) -> String| {
        let (new, old) = (meaning(&format!("NEW.{}", field.name)), meaning(&format!("OLD.{}", field.name)));
        format!("{new} IS {old}")
    };
    let of_json = |meaning: &dyn Fn(&str) -> String| {
        let (new, old) = (format!("NEW.{}", field.name), format!("OLD.{}", field.name));
        let is_json = format!(
"typeof({new}) = 'text' AND typeof({old}) = 'text' AND NOT instr({new}, char(0)) AND json_valid({new})
              AND substr(ltrim({new}), 1, 1) = substr(ltrim({old}), 1, 1)"
        );
        format!("(CASE WHEN {is_json}\n      THEN {} ELSE 0 END)", both(meaning))
    };
    match field.kind {
        Kind::Boolean => Some(format!(
            "({})",
            both(&|x| format!("CASE lower({x}) WHEN 'true' THEN 1 WHEN 'false' THEN 0 ELSE {x} END"))
        )),
        Kind::Channels => Some(of_json(&|x| {
            format!(
                "(SELECT json_group_array(json_array(type, value)) FROM (SELECT DISTINCT type, value FROM json_each({x}) ORDER BY value, type))"
            )
        })),
        Kind::Forms => Some(of_json(&|x| {
            format!(
                "(SELECT json_group_array(one) FROM (SELECT {} AS one FROM json_each({x}) AS entry ORDER BY 1))",
                form_entry()
            )
        })),
        Kind::Credit => Some(of_json(&|x| {
            format!(
                "(SELECT json_group_array(CASE type WHEN 'object' THEN {} ELSE value END) FROM json_each({x}) AS entry)",
                number("$.amount")
            )
        })),
        Kind::Json => Some(of_json(&|x| {
            format!(
                "(SELECT json_group_array(json_array(fullkey, kind, leaf))
            FROM (SELECT fullkey, replace(type, 'integer', 'real') AS kind, iif(type = 'integer', atom * 1.0, atom) AS leaf
                  FROM json_tree({x}) ORDER BY fullkey))"
            )
        })),
        Kind::Date => {
            let name = field.name;
            Some(format!("coalesce(julianday(NEW.{name}) = julianday(OLD.{name}), 0)"))
        }
        Kind::Text if field.access != Access::Editable => {
            Some(format!("({})", both(&|x| format!("coalesce({x}, '')"))))
        }
        Kind::Text | Kind::Integer | Kind::Password => None,
    }
}

/// One form field, from a row `entry` of `json_each`: its name, and its value by its type. With a NUL in it, the text as it
/// stands: SQLite ends texts there.
pub(super) fn form_entry() -> String {
    let (kind, value) = ("json_type(entry.value, '$.value')", "json_extract(entry.value, '$.value')");
    let (name, number) = ("json_extract(entry.value, '$.name')", number("$.value"));
    format!(
        "CASE
        WHEN entry.type <> 'object' THEN json_array(entry.type, entry.value)
        WHEN instr(entry.value, '\\u0000') THEN entry.value
        ELSE CASE {kind}
            WHEN 'text' THEN json_array({name}, {value})
            WHEN 'integer' THEN json_array({name}, {number}, 'number')
            WHEN 'real' THEN json_array({name}, {number}, 'number')
            WHEN 'array' THEN json_array({name}, (SELECT json_group_array(value) FROM json_each(entry.value, '$.value')))
            ELSE json_array({name}, {value}, {kind})
            END
        END"
    )
}

/// The number at a path of `entry.value` in its shortest spelling; of anything else, its text.
fn number(path: &str) -> String {
    let raw = raw("entry.value", path);
    format!(
        "CASE WHEN {raw} GLOB '*[.eE]*' THEN (
                SELECT CASE WHEN raw GLOB '[-0-9]*[eE]*' THEN rtrim(rtrim(printf('%.10f', raw), '0'), '.')
                            WHEN raw GLOB '[-0-9]*' THEN rtrim(rtrim(raw, '0'), '.') ELSE raw END
                FROM (SELECT {raw} AS raw)) ELSE {raw} END"
    )
}

/// The first amount, as it is spelled.
pub(super) fn first_amount(column: &str) -> String {
    raw(column, "$[0].amount")
}

/// The text of a JSON number at a path, digit by digit, which `json_extract` of one path would make a float of: of two paths it
/// makes an array. The other one leads nowhere, in an object and in an array.
pub(super) fn raw(json: &str, path: &str) -> String {
    format!("replace(substr(json_extract({json}, '{path}', '$[0].x.x'), 2), ',null]', '')")
}
