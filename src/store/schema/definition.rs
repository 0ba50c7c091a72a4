//! What the text of a table says, column by column: SQLite keeps the text, and tells no collation, no check and no expression of a
//! generated column otherwise.
//!
//! Only what `sqlite_schema` holds is read here: SQLite has understood it before, so this needs no more than to know where a
//! name, a string, a comment and a parenthesis end.

use std::collections::BTreeSet;

/// The parts of a `CREATE TABLE`.
#[derive(Debug, Default)]
pub(super) struct Definition<'a> {
    /// Each column with its text, its name included.
    pub(super) columns: Vec<(String, &'a str)>,
    /// What stands behind the columns: checks, keys, references.
    pub(super) constraints: Vec<&'a str>,
    /// Where the last column ends, and where the parenthesis is closed.
    columns_end: usize,
    end: usize,
    text: &'a str,
}

/// A piece of SQL, and where it stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Quoted,
    Sign(char),
}

#[derive(Clone, Copy)]
struct Piece {
    kind: Kind,
    from: usize,
    to: usize,
}

impl<'a> Definition<'a> {
    pub(super) fn of(text: &'a str) -> Definition<'a> {
        let mut found = Definition { text, ..Definition::default() };
        let (mut depth, mut part): (usize, Vec<Piece>) = (0, Vec::new());
        for piece in pieces(text) {
            match piece.kind {
                Kind::Sign('(') => depth += 1,
                Kind::Sign(')') => depth -= 1,
                _ => {}
            }
            match (piece.kind, depth) {
                (Kind::Sign('('), 1) => {}
                (Kind::Sign(','), 1) => found.take(&std::mem::take(&mut part)),
                (Kind::Sign(')'), 0) => {
                    found.take(&part);
                    found.end = piece.from;
                    break;
                }
                (_, 0) => {}
                _ => part.push(piece),
            }
        }
        found
    }

    fn take(&mut self, part: &[Piece]) {
        let (Some(first), Some(last)) = (part.first(), part.last()) else { return };
        let text = &self.text[first.from..last.to];
        let word = &self.text[first.from..first.to];
        let is_constraint = first.kind == Kind::Word
            && ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"]
                .iter()
                .any(|begins| word.eq_ignore_ascii_case(begins));
        match is_constraint {
            true => self.constraints.push(text),
            false => {
                self.columns.push((name(word), text));
                self.columns_end = last.to;
            }
        }
    }

    /// The same table with more in it.
    pub(super) fn with(&self, columns: &[String], constraints: &[String]) -> String {
        let listed = |all: &[String]| all.iter().map(|one| format!(",\n    {one}")).collect::<String>();
        let (before, after) = self.text.split_at(self.columns_end);
        let (between, after) = after.split_at(self.end - self.columns_end);
        // What stands between may end in a comment.
        let newline = if constraints.is_empty() { "" } else { "\n" };
        format!("{before}{}{between}{newline}{}{after}", listed(columns), listed(constraints))
    }
}

/// The words of SQL that are no names in quotes, in capitals.
pub(super) fn words(sql: &str) -> impl Iterator<Item = String> {
    let words = pieces(sql).into_iter().filter(|piece| piece.kind == Kind::Word);
    words.map(|piece| sql[piece.from..piece.to].to_uppercase())
}

/// The texts in it, as they are.
pub(super) fn texts(sql: &str) -> impl Iterator<Item = String> {
    let quoted = pieces(sql)
        .into_iter()
        .map(|piece| &sql[piece.from..piece.to])
        .filter(|piece| piece.starts_with('\''));
    quoted.map(name)
}

/// Everything that may be a name, as it is, in small letters.
pub(super) fn names(sql: &str) -> BTreeSet<String> {
    let names = pieces(sql).into_iter().filter(|piece| !matches!(piece.kind, Kind::Sign(_)));
    names.map(|piece| name(&sql[piece.from..piece.to]).to_lowercase()).collect()
}

/// Without its quotes.
fn name(word: &str) -> String {
    let close = match word.chars().next() {
        Some('[') => ']',
        Some(quote @ ('"' | '`' | '\'')) => quote,
        _ => return word.to_owned(),
    };
    let inner = word[1..].strip_suffix(close).unwrap_or(&word[1..]);
    inner.replace(&format!("{close}{close}"), &close.to_string())
}

fn pieces(sql: &str) -> Vec<Piece> {
    let (mut pieces, mut from) = (Vec::new(), 0);
    while let Some(first) = sql[from..].chars().next() {
        let rest = &sql[from..];
        let (kind, length) = match first {
            '-' if rest.starts_with("--") => (None, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => (None, rest.find("*/").map_or(rest.len(), |end| end + 2)),
            '"' | '`' | '\'' => (Some(Kind::Quoted), quoted_length(rest, first)),
            '[' => (Some(Kind::Quoted), rest.find(']').map_or(rest.len(), |end| end + 1)),
            sign if sign.is_whitespace() => (None, sign.len_utf8()),
            sign if is_of_word(sign) => {
                (Some(Kind::Word), rest.find(|sign| !is_of_word(sign)).unwrap_or(rest.len()))
            }
            sign => (Some(Kind::Sign(sign)), sign.len_utf8()),
        };
        pieces.extend(kind.map(|kind| Piece { kind, from, to: from + length }));
        from += length;
    }
    pieces
}

fn is_of_word(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || sign == '_' || sign == '$' || !sign.is_ascii()
}

/// Up to its own end: a quote within is doubled.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut from = 1;
    while let Some(end) = text[from..].find(quote) {
        from += end + 1;
        if !text[from..].starts_with(quote) {
            return from;
        }
        from += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_taken_apart_whatever_stands_in_its_names_strings_and_comments() {
        let sql = r#"CREATE TABLE "a (b" (
            id INTEGER PRIMARY KEY, -- the key, (ours
            "a, ""b" TEXT DEFAULT 'it''s, (so)' COLLATE NOCASE, /* , ) */
            [c d] DECIMAL(10, 2) CHECK ("c d" > 0),
            `Größe` AS (lower(id)) STORED,
            CONSTRAINT "one" UNIQUE (id, "c d"), CHECK (id <> ')') -- last, one
        ) STRICT"#;
        let table = Definition::of(sql);
        let columns: Vec<_> = table.columns.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(columns, ["id", "a, \"b", "c d", "Größe"]);
        assert_eq!(table.columns[1].1, r#""a, ""b" TEXT DEFAULT 'it''s, (so)' COLLATE NOCASE"#);
        assert_eq!(table.columns[3].1, "`Größe` AS (lower(id)) STORED");
        assert_eq!(table.constraints, [r#"CONSTRAINT "one" UNIQUE (id, "c d")"#, "CHECK (id <> ')')"]);
        assert!(names(table.constraints[0]).contains("c d"));
        let longer = table.with(&["e TEXT".to_owned()], &["UNIQUE (e)".to_owned()]);
        let longer = Definition::of(&longer);
        assert_eq!(longer.columns[4].0, "e");
        assert_eq!((longer.columns.len(), longer.constraints.len()), (5, 3));
        assert!(longer.text.trim_end().ends_with("STRICT"));
    }

    #[test]
    fn what_is_cut_short_is_no_reason_to_panic() {
        for sql in ["", "CREATE TABLE a", "CREATE TABLE a (b", "CREATE TABLE a ('b", "a ([", "a (/*", "a (--"]
        {
            Definition::of(sql);
        }
        assert_eq!(words("a 'CHECK' /* CHECK */ -- CHECK").collect::<Vec<_>>(), ["A"]);
    }
}
