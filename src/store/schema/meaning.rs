//! When two spellings of a value mean the same, in SQL: what is no edit, and is never refused.
//!
//! Mappers write every column back, in words of their own: JSON with other spaces, an instant with another zone, `false`
//! for 0. And what the store has need not be what it would take. So a field is held against what it was by its meaning, before
//! anything else is asked of it. Only what SQLite 3.37 has may be used: `->` came with 3.38.

use crate::resource::{Access, Field, Kind};

/// Whether `NEW` and `OLD`, which are spelled differently, mean the same; `None`: each spelling is a value of its own.
pub(super) fn same(field: &Field) -> Option<String> {
    let both = |meaning: &dyn Fn(&str) -> String| {
        let (new, old) = (meaning(&format!("NEW.{}", field.name)), meaning(&format!("OLD.{}", field.name)));
        format!("{new} IS {old}")
    };
    let of_json = |meaning: &dyn Fn(&str) -> String| {
        let (new, old) = (format!("NEW.{}", field.name), format!("OLD.{}", field.name));
        let is_json = format!(
"typeof({new}) = 'text' AND typeof({old}) = 'text' AND NOT instr({new}, char(0)) AND json_valid({new}) AND json_valid({old})
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
                number(&raw("entry.value", "$.amount"))
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
            let (new, old) =
                (instant(&format!("NEW.{}", field.name)), instant(&format!("OLD.{}", field.name)));
            Some(format!("coalesce({new} = {old}, 0)"))
        }
        Kind::Text if field.access != Access::Editable => {
            Some(format!("({})", both(&|x| format!("coalesce({x}, '')"))))
        }
        Kind::Text | Kind::Integer | Kind::Country | Kind::Choice(_) | Kind::Password => None,
    }
}

/// An instant, also with a zone as `+0200`, `+02` or `UTC`, which SQLite does not read, and in small letters.
fn instant(text: &str) -> String {
    format!(
        "(SELECT julianday(CASE
            WHEN substr(at, 11) GLOB '*[-+][0-9][0-9][0-9][0-9]' THEN substr(at, 1, length(at) - 2) || ':' || substr(at, -2)
            WHEN substr(at, 11) GLOB '*[-+][0-9][0-9]' THEN at || ':00'
            WHEN substr(at, -4) = ' UTC' THEN substr(at, 1, length(at) - 4) || 'Z'
            ELSE at END) FROM (SELECT upper({text}) AS at))"
    )
}

/// One form field, from a row `entry` of `json_each`: its name, and its value by its type. With a NUL in it, the text as it
/// stands: SQLite ends texts there.
pub(super) fn form_entry() -> String {
    let (kind, value) = ("json_type(entry.value, '$.value')", "json_extract(entry.value, '$.value')");
    let (name, number) = ("json_extract(entry.value, '$.name')", number(&raw("entry.value", "$.value")));
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

/// The value of one form field as JSON, from a row `entry` of `json_each`.
pub(super) fn form_value() -> String {
    let number = raw("entry.value", "$.value");
    format!(
        "CASE json_type(entry.value, '$.value')
                         WHEN 'integer' THEN {number}
                         WHEN 'real' THEN {number}
                         WHEN 'array' THEN json_extract(entry.value, '$.value')
                         ELSE json_quote(json_extract(entry.value, '$.value'))
                         END"
    )
}

/// The number that JSON text is, in its shortest spelling; of anything else, its text.
fn number(raw: &str) -> String {
    format!(
        "CASE WHEN {raw} GLOB '*[.eE]*' THEN (
                SELECT CASE WHEN raw GLOB '[-0-9]*[eE]*' THEN rtrim(rtrim(printf('%.10f', raw), '0'), '.')
                            WHEN raw GLOB '[-0-9]*' THEN rtrim(rtrim(raw, '0'), '.') ELSE raw END
                FROM (SELECT {raw} AS raw)) ELSE {raw} END"
    )
}

/// The first amount, as it is spelled.
pub(super) fn first_amount(column: &str) -> String {
    let one = only_amount("one");
    format!(
        "coalesce(nullif({raw}, 'null'),
                 (SELECT {one} FROM (SELECT json_extract({column}, '$[0]') AS one WHERE json_type({column}, '$[0]') = 'object')
                  WHERE (SELECT count(*) = 1 AND max(key) = 'amount' FROM json_each(one))))",
        raw = raw(column, "$[0].amount")
    )
}

/// The amount of an entry that has nothing else, as it is spelled. Not by its name, which JSON can spell with escapes:
/// before SQLite 3.45 a path does not find it then.
pub(super) fn only_amount(entry: &str) -> String {
    format!("rtrim(substr({entry}, instr({entry}, '\":') + 2), '}}')")
}

/// The text of a JSON number at a path, digit by digit, which `json_extract` of one path would make a float of: of two paths it
/// makes an array. The other one leads nowhere, in an object and in an array.
fn raw(json: &str, path: &str) -> String {
    format!("replace(substr(json_extract({json}, '{path}', '$[0].x.x'), 2), ',null]', '')")
}
