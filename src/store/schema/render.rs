//! The table of fields in, SQL out.

use super::Object;
use super::meaning;
use crate::resource::{Access, CHANNEL_IDS, CREDIT_DIGITS, Field, GROUP_IDS, Kind, Resource, ResourceId};

/// Whether an UPDATE is an app's, and not the engine's own.
const BY_APP: &str = "(NEW.engine_mark IS OLD.engine_mark OR (SELECT writing FROM tillsync_guard) IS NOT 1)";
const ENGINE_INSERTS: &str = "(NEW.engine_mark IS 1 AND (SELECT writing FROM tillsync_guard) IS 1)";
const ENGINE_DELETES: &str = "(OLD.engine_mark IS 2 AND (SELECT writing FROM tillsync_guard) IS 1)";
/// What an edit is about, of all that is of one customer: `phone`, `address.7.city`.
const WHAT: &str = "coalesce(of_resource || '.' || of_row || '.', '') || field";
/// The word of a conflict without the row that it is of.
const OWN: &str = "substr(c.field, 1 + length(coalesce(c.of_resource || '.' || c.of_row || '.', '')))";
/// Whether an edit `j` is of the row that a conflict `c` is of.
const J_IS_OF_C: &str =
    "j.customer_id = c.customer_id AND j.of_resource IS c.of_resource AND j.of_row IS c.of_row";
/// Whether a row was just made by an `INSERT` that is journaled, and by no `REPLACE`.
const IS_NEW: &str = "{value} IS (SELECT value FROM journal
                WHERE {is_its} AND field = '{field}' AND settled_at IS NULL ORDER BY seq DESC LIMIT 1)
               AND NOT EXISTS (SELECT 1 FROM {snapshot} WHERE {is_new})";
/// What an `INSERT` of a new row gives one of its attributes.
const INSERTED: &str = "INSERT INTO tillsync_refusal
    SELECT {called} || ': {field}', 'NULL is not allowed' WHERE NEW.{field} IS NULL;
    INSERT INTO tillsync_check_text VALUES ({text_of}, {least}, {most}, NEW.{field});
    {typed}{journal_it}";
/// The instant of the statement that runs.
const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";
const JOURNAL: &str = "INSERT INTO journal ({whose}, field, op, value, was, at, author, label, engine_mark)";
/// What an edit of a column leaves behind.
const JOURNAL_IT: &str = "{journal}
    VALUES ({whose_it_is}, '{field}', 'set', {value}, {was}, {now_and_who});";
const WHO: &str = "(SELECT author FROM edit_context), (SELECT label FROM edit_context)";
const NOT_JOURNALED: &str = "'would not be journaled: a trigger edits it beneath another edit of its kind, which SQLite skips \
                             unless PRAGMA recursive_triggers = ON, or a trigger ignored it'";

/// Whether the newest row of the journal is that of this edit, as it is right behind the trigger that journals it.
const IS_JOURNALED: &str = "coalesce((SELECT {is_its} AND field = '{field}' AND value = {value}
                    FROM journal ORDER BY seq DESC LIMIT 1), 0)";
/// Else, whether the newest row of this customer and field is.
const REFUSE_UNJOURNALED: &str = "INSERT INTO tillsync_refusal
    SELECT {called} || ': {field}', {not_journaled}
    WHERE NOT {is_journaled}
      AND {value} IS NOT (SELECT value FROM journal
                          WHERE {is_its} AND field = '{field}' AND settled_at IS NULL
                          ORDER BY seq DESC LIMIT 1){and_not_same};";

/// NULL is taken back to, and nothing else.
const NULL: &str = "(SELECT 'NULL is not allowed' FROM {snapshot} WHERE {is_old} AND coalesce(json_type(body, '{path}'), 'null') <> 'null')";
/// The same of a text, where the check of texts does not know whose it is.
const REFUSE_NULL: &str = "
    INSERT INTO tillsync_refusal SELECT {called} || ': {field}', {null} WHERE NEW.{field} IS NULL;";

/// Whom an INSERT into a view names, where nothing makes a number of what was given: `25`, also of `25.0`.
const CUSTOMER: &str = "iif(NEW.customer_id = CAST(NEW.customer_id AS INTEGER), CAST(NEW.customer_id AS INTEGER), \
                         coalesce(NEW.customer_id, 'NULL'))";

/// The same, by the id of today.
const TODAY: &str = "coalesce((SELECT id FROM alias WHERE resource = 'customer' AND old_id = NEW.customer_id), NEW.customer_id)";

/// An amount in the words of whoever gave it; as many as fit into a sentence.
const AS_TYPED: &str = "CASE typeof(NEW.amount) WHEN 'null' THEN 'NULL' WHEN 'blob' THEN 'a blob'
                 ELSE '\"' || replace(substr(NEW.amount, 1, 40), '''', '´') || iif(length(NEW.amount) > 40, '…', '') || '\"' END";

/// Every statement, with the comments of the templates between them.
pub(super) fn script() -> String {
    let customer = ResourceId::CUSTOMER.spec();
    let mut parts = vec![
        checks(),
        fill(
            include_str!("sql/guards.sql"),
            &[("rows", &guards(customer)), ("snapshots", &guards_of_snapshots(customer))],
        ),
        edits(customer),
    ];
    let money_column = name_of(Kind::Credit);
    parts.push(fill(
        &include_str!("sql/adjustment.sql").replace("{payments}", &payments()),
        &[
            ("money of NEW.balance", &money("NEW.balance")),
            ("money of balance", &money("balance")),
            ("money of after", &money("after")),
            ("money of floor", &money("floor")),
            ("first_amount", &meaning::first_amount(money_column)),
            ("sum of {money}", &sum(money_column)),
            ("money", money_column),
            ("sum of was", &sum("was")),
            ("as_typed", AS_TYPED),
            ("whole", &CREDIT_DIGITS.0.to_string()),
            ("fraction", &CREDIT_DIGITS.1.to_string()),
        ],
    ));
    parts.push(new_rows(customer));
    parts.push(fill(include_str!("sql/state.sql"), &[("what", WHAT)]));
    let places = [
        ("what", WHAT),
        ("own", OWN),
        ("j is of c", J_IS_OF_C),
        ("form value", &*meaning::form_value()),
        ("money", money_column),
        ("entries", name_of(Kind::Forms)),
        ("secret", name_of(Kind::Password)),
    ];
    parts.push(fill(include_str!("sql/decisions.sql"), &places));
    common(&parts.join("\n"))
}

/// The same of a resource that a file keeps besides: guards, checks and journaling, from the templates of customers.
pub(super) fn script_of(resource: &Resource) -> String {
    common(&[guards(resource), guards_of_snapshots(resource), edits(resource)].join("\n"))
}

/// What stands in for it in a file that does not keep it, and has its tables.
pub(super) fn script_of_none(resource: &Resource) -> String {
    let Some(with) = resource.with else { return String::new() };
    common(&fill(&fill_of(resource, include_str!("sql/not_kept.sql")), &[("with", with)]))
}

/// The tables of such a resource: the working copy, with a column an attribute, and what the store last told; each found by its customer.
pub(super) fn tables(resource: &Resource) -> Vec<String> {
    let Resource { name, snapshot, key, customer, .. } = resource;
    let of_key = |column: &str| match key[..] {
        [only] if only == column => format!("{column} INTEGER PRIMARY KEY"),
        _ => format!("{column} INTEGER NOT NULL"),
    };
    let names: Vec<String> = resource.names().map(of_key).collect();
    let primary =
        if key.len() > 1 { format!(",\n    PRIMARY KEY ({})", key.join(", ")) } else { String::new() };
    let columns = resource.columns().map(|field| format!("{} {}", field.name, affinity(field.kind)));
    let mark = "engine_mark INTEGER NOT NULL DEFAULT 0".to_owned();
    let copy: Vec<String> = names.iter().cloned().chain(columns).chain([mark.clone()]).collect();
    let told = ["body TEXT NOT NULL", "date_modified TEXT", "lately TEXT"].map(str::to_owned);
    let told: Vec<String> = names.into_iter().chain(told).chain([mark]).collect();
    let table = |name: &str, columns: &[String]| {
        format!("CREATE TABLE {name} (\n    {}{primary}\n)", columns.join(",\n    "))
    };
    let index =
        |table: &&str| customer.map(|of| format!("CREATE INDEX tillsync_{table}_{of} ON {table} ({of})"));
    let indexes = [*name, *snapshot].iter().filter_map(index).collect();
    [vec![table(name, &copy), table(snapshot, &told) + " STRICT"], indexes].concat()
}

fn affinity(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean | Kind::Integer => "INTEGER",
        Kind::Text
        | Kind::Date
        | Kind::Country
        | Kind::Choice(_)
        | Kind::Password
        | Kind::Credit
        | Kind::Channels
        | Kind::Forms
        | Kind::Json => "TEXT",
    }
}

/// How anything is refused, and a text is looked at.
fn checks() -> String {
    let start = format!("iif(key = 0, 0, {})", continuation("64 * key"));
    let end = continuation("64 * key + 64");
    let places = [("after start", &*start), ("after end", &end), ("bytes", BYTES)];
    fill(include_str!("sql/checks.sql"), &places)
}

/// What is the same wherever it stands.
fn common(script: &str) -> String {
    let now_and_who = format!("{NOW}, {WHO}, 1");
    fill(
        script,
        &[
            ("by_app", BY_APP),
            ("engine_inserts", ENGINE_INSERTS),
            ("engine_deletes", ENGINE_DELETES),
            ("journal", JOURNAL),
            ("whose", "customer_id"),
            ("now_and_who", &now_and_who),
            ("now", NOW),
            ("customer", CUSTOMER),
            ("today", TODAY),
            ("not_journaled", NOT_JOURNALED),
        ],
    )
}

/// What an app may not do to the rows of a resource.
fn guards(resource: &Resource) -> String {
    if resource.create.is_some() {
        return fill_of(resource, created(resource, include_str!("sql/created_rows.sql")).trim_end());
    }
    let inserts = match resource.is_upserted {
        true => upsert(resource),
        false => fill_of(resource, include_str!("sql/insert.sql").trim_end()),
    };
    format!("{inserts}\n{}", fill_of(resource, include_str!("sql/rows.sql").trim_end()))
}

/// The places of rows that are created here.
fn created(resource: &Resource, template: &str) -> String {
    let Resource { name, fields, .. } = resource;
    let needed: Vec<&Field> = fields.iter().filter(|field| field.is_required || field.is_unique).collect();
    let names: Vec<&str> = needed.iter().map(|field| field.name).collect();
    let needs = fields.iter().filter(|field| field.is_required).map(|Field { name: field, .. }| {
        format!("WHEN NEW.{field} IS NULL THEN '{field}: is needed to create a {name}'")
    });
    let fixed = fields.iter().filter_map(|field| Some((field.name, field.access.refusal()?)));
    let fixed = fixed.map(|(field, why)| format!("WHEN NEW.{field} IS NOT NULL THEN '{field}: {why}'"));
    let in_lines = |cases: Vec<String>| cases.join("\n        ");
    let needs: Vec<String> = needs.collect();
    let all: Vec<String> = needs.iter().cloned().chain(fixed).collect();
    let checks: String = resource.columns().filter_map(|field| check_of_new(resource, field)).collect();
    let lengths = fields.iter().filter(|field| field.most_when_new.is_some());
    let lengths = lengths.filter_map(|field| Some(if_edited(field, &check_of_new(resource, field)?)));
    let lengths: String = lengths.collect();
    let uniques = || fields.iter().filter(|field| field.is_unique);
    let unique: String = uniques().map(unique_of_new).collect();
    let unique_of_edited: String = uniques().map(|field| if_edited(field, &unique_of_new(field))).collect();
    let (before, behind) = template.split_once("{needs}").unwrap_or((template, ""));
    let template = format!("{before}{}{behind}", in_lines(all));
    fill(
        &template,
        &[
            ("needs", &*in_lines(needs)),
            ("needed", &names.join(", ")),
            ("checks of new", &checks),
            ("lengths of edited", &lengths),
            ("unique of new", &unique),
            ("unique of edited", &unique_of_edited),
            ("named", &format!("'{name} ' || NEW.{{row}}")),
            ("new as json", &as_json(resource, "NEW")),
            ("old as json", &as_json(resource, "OLD")),
            ("whose it is new", "{whose_it_is new}"),
            ("newest", NEWEST),
        ],
    )
}

/// The newest id below zero that was given, to a row of whatever resource.
const NEWEST: &str =
    "min(coalesce((SELECT newest FROM tillsync_new_id), 0), coalesce((SELECT min(id) FROM customer), 0),
                 coalesce((SELECT min(old_id) FROM alias WHERE resource = 'customer'), 0))";

/// A row as one JSON object, without what it has not.
fn as_json(resource: &Resource, side: &str) -> String {
    let editable = resource.columns().filter(|field| field.access == Access::Editable);
    let members = editable.map(|field| format!("'{}', json({})", field.name, json(side, field)));
    format!("json_patch('{{}}', json_object({}))", members.collect::<Vec<_>>().join(", "))
}

/// What is asked of an attribute of a new row: the same as of an edit, of which there was nothing before.
fn check_of_new(resource: &Resource, one: &Field) -> Option<String> {
    if one.access != Access::Editable {
        return None;
    }
    if one.kind.is_text() && one.kind != Kind::Password {
        let (least, most) = one.limit_chars;
        let most = limit(one.most_when_new.unwrap_or(most));
        let check = format!(
            "    INSERT INTO tillsync_check_text SELECT {{text_of}}, {least}, {most}, NEW.{{field}} WHERE NEW.{{field}} IS NOT NULL;\n"
        );
        return Some(named(resource, one, &check).replace("OLD.", "NEW."));
    }
    let edit = field(resource, one);
    let (_, edit) =
        edit.split_once(&format!("CREATE TRIGGER tillsync_{}_{} BEFORE", resource.name, one.name))?;
    let (_, body) = edit.split_once("BEGIN\n")?;
    let (check, _) =
        body.split_once("    {journal}").or_else(|| body.split_once("    INSERT INTO journal"))?;
    Some(check.replace(&format!("OLD.{}", one.name), "NULL").replace("OLD.", "NEW."))
}

/// What no two have, another row has already; whatever its case.
fn unique_of_new(field: &Field) -> String {
    let name = field.name;
    format!(
        "    INSERT INTO tillsync_refusal
    SELECT '{{table}} ' || NEW.{{row}} || ': {name}', 'is that of {{table}} ' || {{row}} || ' already'
    FROM {{table}} WHERE {name} = NEW.{name} COLLATE NOCASE AND {{row}} <> NEW.{{row}} LIMIT 1;\n"
    )
}

/// The same, where an edit changes it: a mapper writes every column back.
fn if_edited(field: &Field, check: &str) -> String {
    let name = field.name;
    check.replacen("WHERE ", &format!("WHERE NEW.{name} IS NOT OLD.{name} AND "), 1)
}

/// Views and guards for whoever has no id of the store's yet.
fn new_rows(customer: &Resource) -> String {
    let columns: Vec<&str> = customer.columns().map(|field| field.name).collect();
    let sets: Vec<String> = columns.iter().map(|column| format!("{column} = NEW.{column}")).collect();
    let places = [("newest", NEWEST), ("columns", &*columns.join(", ")), ("sets", &*sets.join(", "))];
    fill(include_str!("sql/new_rows.sql"), &places)
}

/// An `INSERT` of what is not there yet sets it: what an update of it would be checked for, and journaled as the same edit.
fn upsert(resource: &Resource) -> String {
    let editable = || resource.fields.iter().filter(|field| field.access == Access::Editable);
    let checks: Vec<String> = editable().map(|field| inserted(resource, field)).collect();
    let fixed = resource.fields.iter().filter_map(|field| Some((field.name, field.access.refusal()?)));
    let fixed: Vec<String> =
        fixed.map(|(name, why)| format!("WHEN NEW.{name} IS NOT NULL THEN '{name}: {why}'")).collect();
    let last = editable().next_back().map(|field| named(resource, field, IS_NEW)).unwrap_or_default();
    let places = [
        ("checks", &*checks.join("\n    ")),
        ("fixed", &fixed.join("\n        ")),
        ("defined", &defined(resource)),
        ("is_new_here", &last),
    ];
    of_new(&fill_of(resource, &fill(include_str!("sql/upsert.sql").trim_end(), &places)))
}

/// What an `INSERT` gives an attribute.
fn inserted(resource: &Resource, field: &Field) -> String {
    let (least, most) = (field.limit_chars.0.to_string(), limit(field.limit_chars.1));
    let places = [("least", &*least), ("most", &most), ("typed", &typed(resource, field)), ("was", "'null'")];
    named(resource, field, &fill(&fill_of(resource, INSERTED), &places))
}

/// Templates are of the row as it was; one that is new was nowhere.
fn of_new(sql: &str) -> String {
    sql.replace("OLD.", "NEW.")
}

/// Whether what says of which type a row is, is known to be missing.
fn defined(resource: &Resource) -> String {
    let Some(defined_by) = resource.defined_by else { return String::new() };
    let row = resource.row();
    format!(
        "
        WHEN EXISTS (SELECT 1 FROM {defined_by}) AND NOT EXISTS (SELECT 1 FROM {defined_by} WHERE id IS NEW.{row})
            THEN '{row}: no such {defined_by} in this file'"
    )
}

/// What a text has to be that is not any: one of its kind, or as it is defined elsewhere.
fn typed(resource: &Resource, field: &Field) -> String {
    if let Some(words) = field.kind.must_be() {
        let places = [("is_one", &*is_one(field)), ("words", &words), ("field", field.name)];
        return fill(&fill_of(resource, include_str!("sql/one_of.sql").trim_end()), &places) + "\n    ";
    }
    let Some(defined_by) = resource.defined_by.filter(|_| field.kind == Kind::Text) else {
        return String::new();
    };
    let places = [("defined_by", defined_by), ("row", resource.row()), ("field", field.name)];
    fill(&fill_of(resource, include_str!("sql/typed.sql").trim_end()), &places) + "\n    "
}

/// Whether a text is one of its kind.
fn is_one(field: &Field) -> String {
    let name = field.name;
    match field.kind {
        Kind::Country => format!("NEW.{name} GLOB '[A-Za-z][A-Za-z]'"),
        Kind::Choice(words) => format!("NEW.{name} IN ('{}')", words.join("', '")),
        _ => "1".to_owned(),
    }
}

/// Nor to what the store told of them.
fn guards_of_snapshots(resource: &Resource) -> String {
    fill_of(resource, include_str!("sql/snapshots.sql").trim_end())
}

/// What becomes of an edit: refused, or journaled.
fn edits(resource: &Resource) -> String {
    let editable = resource.fields.iter().filter(|field| field.access == Access::Editable);
    let fixed = resource.fields.iter().any(|field| field.access != Access::Editable);
    let fixed = fixed.then(|| fill_of(resource, &read_only(resource)));
    let mut parts: Vec<String> = fixed.into_iter().chain([JOURNALING.to_owned()]).collect();
    parts.extend(editable.map(|one| field(resource, one)));
    parts.join("\n")
}

/// A template with what is a resource's own.
fn fill_of(resource: &Resource, template: &str) -> String {
    let Resource { name, plural, snapshot, key, .. } = resource;
    let (row, customer) = (resource.row(), resource.whose());
    let of_customer = match resource.customer {
        Some(column) => format!("OLD.{column}"),
        None => customer.to_owned(),
    };
    let is = |side: &str| -> String {
        key.iter().map(|column| format!("{column} = {side}.{column}")).collect::<Vec<_>>().join(" AND ")
    };
    let moves: Vec<String> =
        resource.names().map(|column| format!("NEW.{column} IS NOT OLD.{column}")).collect();
    let called = format!("'{name} ' || OLD.{row}");
    let own = match resource.is_of_customers() {
        true => [
            ("journal_it", JOURNAL_IT.to_owned()),
            ("journal of row", "{journal}".to_owned()),
            ("whose_it_is new", format!("NEW.{row}")),
            ("whose_it_is", format!("OLD.{row}")),
            ("is_its new", format!("customer_id = NEW.{row} AND of_resource IS NULL")),
            ("is_its", format!("customer_id = OLD.{row}")),
            ("text_of", format!("OLD.{row}, '{{field}}'")),
            ("refuse_null", String::new()),
        ],
        false => [
            (
                "journal_it",
                JOURNAL_IT
                    .replace("{journal}", &JOURNAL.replace("{whose}", "customer_id, of_resource, of_row")),
            ),
            ("journal of row", JOURNAL.replace("{whose}", "customer_id, of_resource, of_row")),
            ("whose_it_is new", format!("{}, '{name}', NEW.{row}", of_new(&of_customer))),
            ("whose_it_is", format!("{of_customer}, '{name}', OLD.{row}")),
            (
                "is_its new",
                format!(
                    "customer_id = {} AND of_resource = '{name}' AND of_row = NEW.{row}",
                    of_new(&of_customer)
                ),
            ),
            (
                "is_its",
                format!("customer_id = {of_customer} AND of_resource = '{name}' AND of_row = OLD.{row}"),
            ),
            ("text_of", format!("NULL, {called} || ': {{field}}'")),
            ("refuse_null", REFUSE_NULL.to_owned()),
        ],
    };
    let shared = [
        ("table", (*name).to_owned()),
        ("plural", (*plural).to_owned()),
        ("snapshot", (*snapshot).to_owned()),
        ("row", row.to_owned()),
        ("key", key.join(", ")),
        ("moves", moves.join(" OR ")),
        ("called", called.clone()),
        ("of_customer", of_customer.clone()),
        ("is_new", is("NEW")),
        ("is_old", is("OLD")),
    ];
    let places: Vec<(&str, &str)> =
        own.iter().chain(&shared).map(|(place, value)| (*place, &**value)).collect();
    fill(template, &places)
}

/// A customer's attribute of that kind.
fn name_of(kind: Kind) -> &'static str {
    let fields = ResourceId::CUSTOMER.spec().fields;
    fields.iter().find(|field| field.kind == kind).map_or("", |field| field.name)
}

/// What holds for the triggers of every field.
const JOURNALING: &str = "\
-- ---------------------------------------------------------------------------------------------------------------
-- Edits: each is checked, then journaled. NULL is only taken back to: it is allowed where the snapshot has none either.
-- BEFORE the row is written: a trigger of the app's own that gives up halfway (`RAISE(FAIL)`, `RAISE(IGNORE)`) may
-- leave a journal row without a change, which settles as unchanged, but never a change without its journal row.
--
-- SQLite runs the newest trigger first, so each field has, in this order: is it valid; journal it; is it journaled? The
-- last one finds what was not, for whatever reason. One is a trigger of the app on `journal`, beneath ours, that edits the
-- same field of another customer: ours is on the stack by then, and SQLite skips it (`recursive_triggers`, off by default).
";

/// The triggers of one field, from the template of its kind.
fn field(resource: &Resource, field: &Field) -> String {
    let named = |template: &str| named(resource, field, template);
    let (least, most) = field.limit_chars;
    let (least, most) = (least.to_string(), limit(most));
    match field.kind {
        Kind::Text | Kind::Date | Kind::Country | Kind::Choice(_) => {
            let typed = typed(resource, field);
            let places = [("length", &*length(field)), ("least", &least), ("most", &most), ("typed", &typed)];
            fill(&named(include_str!("sql/text.sql")), &places)
        }
        Kind::Integer => range(&named(include_str!("sql/integer.sql")), GROUP_IDS),
        Kind::Boolean => named(include_str!("sql/boolean.sql")),
        Kind::Channels => range(&named(include_str!("sql/channels.sql")), CHANNEL_IDS),
        Kind::Forms => {
            let template = named(include_str!("sql/forms.sql"));
            fill(&template, &[("entry", &meaning::form_entry())])
        }
        Kind::Credit => {
            let (whole, fraction) = CREDIT_DIGITS;
            let places = [("whole", &*whole.to_string()), ("fraction", &fraction.to_string())];
            let template = fill(&named(include_str!("sql/credit.sql")), &places);
            fill(&template, &[("amount", &meaning::only_amount("entry.value"))])
        }
        Kind::Password => {
            let places = [("field", field.name), ("least", &least), ("most", &most)];
            fill(include_str!("sql/password.sql"), &places)
        }
        Kind::Json => String::new(),
    }
}

/// The places that a template of any kind has.
fn named(resource: &Resource, field: &Field, template: &str) -> String {
    let same = meaning::same(field);
    let and_not_same = same.as_ref().map_or(String::new(), |same| format!("\n      AND NOT {same}"));
    let path = path(field);
    let null = fill_of(resource, NULL);
    let (value, was) = (json("NEW", field), json("OLD", field));
    let template = fill(template, &[("journaled", include_str!("sql/journaled.sql").trim_end())]);
    let template =
        fill(&template, &[("refuse_unjournaled", REFUSE_UNJOURNALED), ("is_journaled", IS_JOURNALED)]);
    let template = fill_of(resource, &template);
    let places = [
        ("and_not_same", &*and_not_same),
        ("null", &*null),
        ("field", field.name),
        ("path", &path),
        ("value", &value),
        ("was", &was),
        ("same", same.as_deref().unwrap_or("0")),
    ];
    fill(&template, &places)
}

/// A value as the journal holds it. Of a blob there is none: a new one is refused, and one that somebody put there past the triggers is
/// in the way of no edit.
fn json(side: &str, field: &Field) -> String {
    let column = format!("{side}.{}", field.name);
    match field.kind {
        Kind::Boolean => format!("CASE {column} WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END"),
        Kind::Channels | Kind::Forms | Kind::Credit | Kind::Json => {
            format!("coalesce(iif(typeof({column}) = 'blob', NULL, {column}), 'null')")
        }
        Kind::Text | Kind::Date | Kind::Integer | Kind::Country | Kind::Choice(_) | Kind::Password => {
            format!("json_quote(iif(typeof({column}) = 'blob', NULL, {column}))")
        }
    }
}

/// The amounts with the sum of balance and adjustment in the first place; the others as `amounts` has them.
fn sum(amounts: &str) -> String {
    format!(
        "(
        SELECT '[{{\"amount\":' || CASE WHEN total < 0 THEN '-' ELSE '' END
               || rtrim(rtrim(printf('%d.%04d', abs(total) / 10000, abs(total) % 10000), '0'), '.') || '}}'
               || coalesce((SELECT group_concat(',' || value, '') FROM json_each({amounts}) WHERE key > 0), '')
               || ']'
        FROM (SELECT NEW.balance + NEW.amount AS total))"
    )
}

/// Both ways to pay: as anybody may, and as somebody allows by name.
fn payments() -> String {
    let way = |view, columns, nulls, (who_is_text, and_who), allowed_by| {
        let places = [
            ("view", view),
            ("columns", columns),
            ("nulls", nulls),
            ("who_is_text", who_is_text),
            ("and_who", and_who),
            ("allowed_by", allowed_by),
        ];
        fill(include_str!("sql/payment.sql").trim_end(), &places)
    };
    let usual = way("store_credit_adjustment", "customer_id, amount", "NULL, NULL", ("", ""), "NULL");
    let allowed = way(
        "store_credit_override",
        "customer_id, amount, allowed_by",
        "NULL, NULL, NULL",
        (
            "
    INSERT INTO tillsync_check_text
    SELECT NEW.customer_id, 'store_credit_override: allowed_by', 0, NULL, NEW.allowed_by WHERE NEW.allowed_by IS NOT NULL;",
            "
        WHEN typeof(NEW.allowed_by) <> 'text' OR trim(NEW.allowed_by) = '' OR length(NEW.allowed_by) > 255
            THEN 'an override says who allows it: allowed_by, at most 255 characters'",
        ),
        "NEW.allowed_by",
    );
    format!("{usual}\n\n{allowed}")
}

/// An amount that is scaled by 10,000, with all its digits, two after the point at least.
fn money(scaled: &str) -> String {
    format!(
        "iif({scaled} < 0, '-', '') || iif(abs({scaled}) % 100, rtrim(printf('%d.%04d', abs({scaled}) / 10000, abs({scaled}) % 10000), '0'), \
         printf('%d.%02d', abs({scaled}) / 10000, abs({scaled}) % 10000 / 100))"
    )
}

/// The text that `tillsync_check_text` looks at.
const BYTES: &str = "CAST(NEW.value AS BLOB)";

/// How many bytes from this place of [`BYTES`] on, at most three, belong to the character before it.
fn continuation(place: &str) -> String {
    let goes_on = |nth: u8| format!("substr({BYTES}, {place} + {nth}, 1) BETWEEN x'80' AND x'BF'");
    format!(
        "CASE WHEN {} THEN CASE WHEN {} THEN CASE WHEN {} THEN 3 ELSE 2 END ELSE 1 END ELSE 0 END",
        goes_on(1),
        goes_on(2),
        goes_on(3)
    )
}

/// What only the store sets.
fn read_only(resource: &Resource) -> String {
    let fixed = || resource.fields.iter().filter_map(|field| Some((field, field.access.refusal()?)));
    let columns: Vec<&str> = fixed().map(|(field, _)| field.name).collect();
    let case = |(field, why): (&Field, &str)| {
        let name = field.name;
        let but_same = meaning::same(field).map_or(String::new(), |same| format!(" AND NOT {same}"));
        format!("WHEN NEW.{name} IS NOT OLD.{name}{but_same} THEN '{name}: {why}'")
    };
    let cases: Vec<String> = fixed().map(case).collect();
    fill(
        include_str!("sql/read_only.sql"),
        &[("columns", &columns.join(", ")), ("cases", &cases.join("\n        "))],
    )
}

/// Where the snapshot's JSON has it.
fn path(field: &Field) -> String {
    match field.parent {
        None => format!("$.{}", field.told()),
        Some(parent) => format!("$.{parent}.{}", field.told()),
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
        let begun = open.take().or_else(|| line.starts_with("CREATE ").then(String::new));
        let Some(mut sql) = begun else { continue };
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

    /// A text that is made by its update, and whose type is told elsewhere.
    #[test]
    fn the_sql_of_a_value_that_is_upserted() {
        let values = ResourceId::named("attribute_value").unwrap().spec();
        insta::assert_snapshot!(script_of(values) + &script_of_none(values));
    }

    /// Texts that are not any: two letters, one of a few.
    #[test]
    fn the_sql_of_an_address() {
        let address = ResourceId::named("address").unwrap().spec();
        insta::assert_snapshot!(script_of(address) + &script_of_none(address));
    }

    use crate::resource::{Changes, Identity, MergeRule, Verb};

    const fn field_of_pet(name: &'static str, kind: Kind, access: Access) -> Field {
        let (limit_chars, merge) = ((0, 8), MergeRule::Policy);
        Field {
            name,
            parent: None,
            kind,
            limit_chars,
            access,
            merge,
            told_as: None,
            is_unique: false,
            is_changed_at: false,
            is_created_at: false,
            is_required: false,
            is_filled_in: false,
            may_be_wanted: false,
            most_when_new: None,
        }
    }

    /// What a customer may have several of, and no store has: some lines are all that the triggers are made from.
    static PET: Resource = Resource {
        name: "pet",
        plural: "pets",
        snapshot: "pet_snapshot",
        key: &["id"],
        customer: Some("customer_id"),
        endpoint: "/customers/pets",
        asked_by: "id",
        include: "",
        changes: Changes::None,
        page: 250,
        update: Some(Verb { rows: 10, at_once: 3 }),
        create: None,
        delete: None,
        is_upserted: false,
        with: None,
        shown_as: None,
        identity: Identity::Id,
        defined_by: None,
        fields: &[
            field_of_pet("called", Kind::Text, Access::Editable),
            field_of_pet("is_fed", Kind::Boolean, Access::Editable),
            field_of_pet("born_at", Kind::Date, Access::ReadOnly),
        ],
    };

    /// The tables that they stand on, and the customers' own guards and checks.
    fn file_with_pets() -> rusqlite::Connection {
        let file = rusqlite::Connection::open_in_memory().unwrap();
        file.execute_batch(
            "CREATE TABLE pet (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, called TEXT, is_fed INTEGER, born_at TEXT,
                               engine_mark INTEGER NOT NULL DEFAULT 0);
             CREATE TABLE pet_snapshot (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, body TEXT NOT NULL,
                                        engine_mark INTEGER NOT NULL DEFAULT 0);
             CREATE TABLE snapshot (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
             CREATE TABLE journal (seq INTEGER PRIMARY KEY, customer_id INTEGER, of_resource TEXT, of_row INTEGER, field TEXT, op TEXT,
                                   value TEXT, was TEXT, at TEXT, author TEXT, label TEXT, settled_at TEXT, engine_mark INTEGER);
             CREATE TABLE edit_context (author TEXT, label TEXT);
             CREATE TABLE tillsync_guard (writing INTEGER);
             INSERT INTO pet (id, customer_id, called, is_fed, born_at) VALUES (7, 42, 'Rex', 0, '2020-01-01T00:00:00Z');
             INSERT INTO pet_snapshot VALUES (7, 42, '{\"id\":7,\"called\":\"Rex\",\"is_fed\":false}', 1);",
        )
        .unwrap();
        let checks = checks();
        let made = common(&[checks, guards(&PET), guards_of_snapshots(&PET), edits(&PET)].join("\n"));
        for object in statements(&made) {
            file.execute_batch(&object.sql).unwrap_or_else(|e| panic!("{e}: {}", object.sql));
        }
        file
    }

    #[test]
    fn another_resource_is_journaled_and_refused_by_its_table_alone() {
        let file = file_with_pets();
        file.execute_batch("UPDATE pet SET called = 'Bello', is_fed = 1 WHERE id = 7").unwrap();
        let journal = "SELECT group_concat(customer_id || ' ' || of_resource || ' ' || of_row || ' ' || field || ' ' || value || ' ' || was, '; ')
                       FROM journal";
        let journaled: String = file.query_row(journal, [], |row| row.get(0)).unwrap();
        let mut edits: Vec<&str> = journaled.split("; ").collect();
        edits.sort_unstable();
        assert_eq!(edits, [r#"42 pet 7 called "Bello" "Rex""#, "42 pet 7 is_fed true false"]);
        for (edit, words) in [
            (
                "UPDATE pet SET called = 'far too long'",
                "pet 7: called: has 12 characters, at most 8 are allowed",
            ),
            ("UPDATE pet SET called = NULL", "pet 7: called: NULL is not allowed"),
            ("UPDATE pet SET is_fed = 2", "pet 7: is_fed: must be 0 or 1"),
            ("UPDATE pet SET born_at = 'today'", "pet 7: born_at: is read-only, the store sets it"),
            ("UPDATE pet SET id = 8", "pet 7: id: is read-only, it names the pet"),
            ("UPDATE pet SET customer_id = 43", "pet 7: id: is read-only, it names the pet"),
            (
                "INSERT INTO pet (customer_id) VALUES (42)",
                "pet: INSERT is not supported yet: create pets in the store",
            ),
            ("DELETE FROM pet", "pet: DELETE is not supported yet: delete pets in the store"),
            ("UPDATE pet_snapshot SET body = '{}'", "pet_snapshot: is the engine's alone: edit pet"),
        ] {
            let refused = file.execute_batch(edit).unwrap_err().to_string();
            assert!(refused.contains(words), "{edit}: {refused}");
        }
    }

    #[test]
    fn no_place_of_a_template_is_left_open() {
        let script = script();
        let places = script.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
        let is_place = |text: &&str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == ' ')
        };
        assert_eq!(places.filter(is_place).collect::<Vec<_>>(), Vec::<&str>::new());
    }

    #[test]
    fn every_statement_is_one_object() {
        let made = script().lines().filter(|line| line.starts_with("CREATE ")).count();
        let names: std::collections::BTreeSet<String> =
            statements(&script()).into_iter().map(|object| object.name).collect();
        assert_eq!(names.len(), made);
    }

    /// Ubuntu 22.04 has SQLite 3.37.2: what a later one brought makes every statement on the file fail there, the app's own too.
    #[test]
    fn the_sql_uses_nothing_that_sqlite_3_37_lacks() {
        const LATER: [&str; 22] = [
            "->",
            "unixepoch(",
            "format(",
            "FULL JOIN",
            "RIGHT JOIN",
            "IS DISTINCT",
            "unhex(",
            "octet_length(",
            "timediff(",
            "jsonb",
            "json_error",
            "concat(",
            "concat_ws(",
            "string_agg(",
            "json_pretty(",
            "median(",
            "percentile",
            "if(",
            "iif(",
            "json_valid(NEW,",
            "subsec",
            "unistr(",
        ];
        let sql: String = objects_without_comments();
        for word in LATER {
            let at = sql
                .match_indices(word)
                .find(|(at, _)| !sql[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
            let is_old = word == "iif(" || at.is_none(); // 3.32
            assert!(is_old, "{word}: {}", at.map_or("", |(at, _)| &sql[at.saturating_sub(60)..at + 60]));
        }
    }

    fn objects_without_comments() -> String {
        script()
            .lines()
            .map(|line| line.split(" --").next().unwrap_or(line))
            .filter(|line| !line.starts_with("--"))
            .collect()
    }
}
