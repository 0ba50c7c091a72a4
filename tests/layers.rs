//! Who may know what: a resource's attributes are named in its own file, and everything else goes by the table.
#![allow(clippy::unwrap_used)] // helpers of tests fail the test

use std::fs;
use std::path::{Path, PathBuf};

use tillsync::FIELDS;

/// Who may name an attribute: what a resource is, the stand-in of the store, and what speaks to people.
const MAY_NAME: [&str; 5] = ["src/resource", "src/sandbox", "src/cli", "src/inspect", "src/guide.md"];

/// What bears an attribute's name, and is something else.
const NAMESAKES: [(&str, &str, &str); 8] = [
    ("src/engine/report.rs", "addresses", "what a report calls how many landed"),
    ("src/store/statements.rs", "date_modified", "a column of the snapshots"),
    ("src/store/schema/render.rs", "date_modified", "that column"),
    ("src/store/receipt.rs", "date_modified", "that column, and the key of a receipt"),
    ("src/store/dirty.rs", "new_password", "a column of `pending_password`"),
    ("src/store/edit.rs", "new_password", "a column of the view `password_change`"),
    ("src/store/schema/sql/password.sql", "new_password", "the same two"),
    ("src/store/search", "", "the index of customers is their own, with columns of a migration"),
];

#[test]
fn no_attribute_is_named_outside_its_resource() {
    let mut named = Vec::new();
    for path in sources(Path::new("src")) {
        let place = path.to_str().unwrap().replace('\\', "/");
        if MAY_NAME.iter().any(|known| place.starts_with(known)) {
            continue;
        }
        for (nth, line) in code(&fs::read_to_string(&path).unwrap()).lines().enumerate() {
            let is_other = |name: &str| {
                let is_it = |(file, known, _): &&(&str, &str, &str)| {
                    place.starts_with(file) && (known.is_empty() || *known == name)
                };
                NAMESAKES.iter().any(|one| is_it(&one))
            };
            let names = names_in(line).into_iter().filter(|name| !is_other(name));
            named.extend(names.map(|name| format!("{place}:{}: {name}", nth + 1)));
        }
    }
    assert!(named.is_empty(), "go by the table (src/resource) instead:\n{}", named.join("\n"));
}

/// It goes through every step (tests/resources.rs), and none of them knows it.
#[test]
fn the_resources_of_the_proof_are_named_in_their_file_in_the_table_and_by_the_stand_in() {
    let spelled = ["loyalty_card", "loyalty_stamp", "LOYALTY_"];
    let names_it = |path: &PathBuf| {
        let code = code(&fs::read_to_string(path).unwrap());
        spelled.iter().any(|name| code.contains(name))
    };
    let named: Vec<String> = sources(Path::new("src"))
        .iter()
        .filter(|path| names_it(path))
        .map(|path| path.to_str().unwrap().replace('\\', "/"))
        .collect();
    let known = ["resource/loyalty.rs", "resource/table.rs"];
    let known = known.map(|place| format!("src/{place}"));
    assert!(named.iter().all(|place| known.contains(place)), "{named:?}");
}

/// Attributes that a line of code names: as text, in SQL, or by a constant.
fn names_in(line: &str) -> Vec<&'static str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let texts: String = line.split('"').skip(1).step_by(2).collect::<Vec<_>>().join(" ");
    let in_quotes = line.split('\'').skip(1).step_by(2);
    let quoted: Vec<&str> = in_quotes.chain(texts.split(|c| !is_part(c))).collect();
    let words: Vec<&str> = line.split(|c| !is_part(c)).collect();
    let is_named = |name: &str| {
        let spelled = if name.contains('_') { &words } else { &quoted };
        spelled.contains(&name) || line.contains(&format!("FieldId::{}", name.to_uppercase()))
    };
    FIELDS.iter().map(|field| field.name).filter(|name| is_named(name)).collect()
}

/// What a build has: no comments, and no tests.
fn code(text: &str) -> String {
    let built = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let is_comment = |line: &str| ["//", "--"].iter().any(|sign| line.trim_start().starts_with(sign));
    built.lines().map(|line| if is_comment(line) { "" } else { line }).collect::<Vec<_>>().join("\n")
}

/// Every file of a folder that goes into a build: what is declared for tests alone does not.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut all = files(folder);
    let tests: Vec<PathBuf> = all.iter().flat_map(|path| tests_of(path)).collect();
    all.retain(|path| !tests.iter().any(|test| path.starts_with(test) || path.with_extension("") == *test));
    all
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = paths.into_iter().partition(|path| path.is_dir());
    let is_source = |path: &PathBuf| path.extension().is_some_and(|end| end == "rs" || end == "sql");
    let within = folders.iter().flat_map(|folder| self::files(folder));
    within.chain(files.into_iter().filter(is_source)).collect()
}

/// The modules that a file declares for tests alone.
fn tests_of(file: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let is_root = ["mod", "lib"].iter().any(|root| file.file_stem().is_some_and(|stem| stem == *root));
    let folder = if is_root { file.parent().unwrap().to_owned() } else { file.with_extension("") };
    let of_tests = lines.windows(2).filter(|pair| pair[0].starts_with("#[cfg(") && pair[0].contains("(test"));
    let names = of_tests.filter_map(|pair| pair[1].strip_prefix("mod ")?.strip_suffix(';'));
    names.map(|name| folder.join(name)).collect()
}

#[test]
fn a_name_that_got_in_is_found() {
    for line in [
        r#"if op.field == FieldId::STORE_CREDIT_AMOUNTS {"#,
        "dirty.ops_of(FieldId::EMAIL)",
        r#"if name == "phone" {"#,
        "WHERE field = 'notes'",
        "AND field IN ('store_credit_amounts')",
    ] {
        assert_eq!(names_in(line).len(), 1, "{line}");
    }
    for line in ["let email = email_edit(dirty);", "row.resource().money()", "company(phone)"] {
        assert_eq!(names_in(line), Vec::<&str>::new(), "{line}");
    }
}
