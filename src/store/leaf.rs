//! A page of a table as SQLite writes it, read without SQLite: of a file beneath its log, or of a log whose file is no more.
//!
//! Only leaves are read, which hold the rows. A row goes on in other pages where it is longer than one has room for: where these are not to
//! be had, the columns that do not end in what there is are [`Cell::Longer`]. What is no such page has no rows.

/// What stands in a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Number(i64),
    Text(String),
    /// A float, a blob, or text that is none.
    Other,
    /// It goes on in another page.
    Longer,
}

impl Cell {
    pub(super) fn number(&self) -> Option<i64> {
        if let Cell::Number(number) = self { Some(*number) } else { None }
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Cell::Text(text) = self { Some(text) } else { None }
    }
}

const LEAF_OF_A_TABLE: u8 = 0x0d;
const LEAF_HEAD: usize = 8;
const LEAST_PAGE: usize = 512;
const NUMBER: usize = 4;

/// The rows of a page, each with its id; `other` has the pages in which they go on, by their numbers.
pub(super) fn rows<'p>(page: &'p [u8], other: impl Fn(u32) -> Option<&'p [u8]>) -> Vec<(i64, Vec<Cell>)> {
    if page.first() != Some(&LEAF_OF_A_TABLE) || page.len() < LEAST_PAGE {
        return Vec::new();
    }
    let rows = short(page, 3).unwrap_or(0);
    (0..rows).filter_map(|place| row(page, short(page, LEAF_HEAD + 2 * place)?, &other)).collect()
}

fn row<'p>(page: &'p [u8], at: usize, other: &impl Fn(u32) -> Option<&'p [u8]>) -> Option<(i64, Vec<Cell>)> {
    let (bytes, at) = number(page, at)?;
    let (id, at) = number(page, at)?;
    let bytes = usize::try_from(bytes).ok()?;
    let cut = at.checked_add(here(bytes, page.len()))?;
    let mut record = page.get(at..cut)?.to_vec();
    let mut next = page.get(cut..).and_then(page_number);
    while record.len() < bytes
        && let Some(more) = next.and_then(other)
    {
        let left = bytes - record.len();
        record.extend_from_slice(more.get(NUMBER..)?.get(..left).or_else(|| more.get(NUMBER..))?);
        next = page_number(more);
    }
    let record = record.as_slice();
    let (head, mut kind_at) = number(record, 0)?;
    let head = usize::try_from(head).ok()?;
    let mut value_at = head;
    let mut cells = Vec::new();
    while kind_at < head {
        let (kind, next) = number(record, kind_at)?;
        let length = length(kind)?;
        let value = value_at.checked_add(length).and_then(|end| record.get(value_at..end));
        cells.push(value.map_or(Cell::Longer, |value| cell(kind, value)));
        (kind_at, value_at) = (next, value_at.checked_add(length)?);
    }
    Some((id.cast_signed(), cells))
}

/// Which page comes next stands in front of what goes on there.
fn page_number(bytes: &[u8]) -> Option<u32> {
    let bytes = bytes.first_chunk::<NUMBER>()?;
    Some(u32::from_be_bytes(*bytes)).filter(|number| *number > 0)
}

/// How many bytes of a row stand in its own page; none of ours keeps a part of its pages for others (but for encrypted ones, which
/// are not read).
fn here(bytes: usize, page_bytes: usize) -> usize {
    let most = page_bytes - 35;
    let least = (page_bytes - 12) * 32 / 255 - 23;
    if bytes <= most {
        return bytes;
    }
    let rest = least + (bytes - least) % (page_bytes - 4);
    if rest <= most { rest } else { least }
}

fn length(kind: u64) -> Option<usize> {
    Some(match kind {
        0 | 8 | 9 => 0,
        1..=4 => usize::try_from(kind).ok()?,
        5 => 6,
        6 | 7 => 8,
        10 | 11 => return None,
        _ => usize::try_from((kind - 12) / 2).ok()?,
    })
}

fn cell(kind: u64, value: &[u8]) -> Cell {
    match kind {
        0 => Cell::Null,
        8 | 9 => Cell::Number(i64::from(kind == 9)),
        1..=6 => {
            let sign = value.first().map_or(0, |first| if first & 0x80 == 0 { 0 } else { -1 });
            Cell::Number(value.iter().fold(sign, |all, byte| all << 8 | i64::from(*byte)))
        }
        13.. if kind % 2 == 1 => {
            std::str::from_utf8(value).map_or(Cell::Other, |text| Cell::Text(text.to_owned()))
        }
        _ => Cell::Other,
    }
}

fn short(page: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes([*page.get(at)?, *page.get(at + 1)?])))
}

/// A number as SQLite writes it in front of others, and where the next thing is.
fn number(page: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut number = 0;
    for place in 0..8 {
        let byte = *page.get(at.checked_add(place)?)?;
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number, at + place + 1));
        }
    }
    Some((number << 8 | u64::from(*page.get(at + 8)?), at + 9))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

    use rusqlite::Connection;

    use super::*;
    use crate::descriptors::Beneath;

    /// The rows of the only table of a file of pages of this size.
    fn of(page_bytes: u32, sql: &str) -> Vec<(i64, Vec<Cell>)> {
        let folder = tempfile::tempdir().unwrap();
        let file = Connection::open(folder.path().join("a.db")).unwrap();
        file.execute_batch(&format!("PRAGMA page_size = {page_bytes}; CREATE TABLE a (a, b, c, d); {sql}"))
            .unwrap();
        let mut page = vec![0; page_bytes as usize];
        assert!(Beneath::of(&file).unwrap().read(&mut page, u64::from(page_bytes)));
        rows(&page, |_| None)
    }

    #[test]
    fn what_sqlite_writes_is_read() {
        use Cell::{Null, Number, Other, Text};
        for number in [0, 1, 2, -1, 127, 128, -129, 70_000, -9_000_000, 1 << 40, i64::MAX] {
            let sql =
                format!("INSERT INTO a (rowid, a, b, c, d) VALUES ({number}, {number}, NULL, 'Jürgen', 1.5)");
            let row = vec![Number(number), Null, Text("Jürgen".to_owned()), Other];
            assert_eq!(of(4_096, &sql), [(number, row)]);
        }
        let odd = of(1_024, "INSERT INTO a VALUES (1, x'ff', CAST(x'ff' AS TEXT), '')");
        assert_eq!(odd, [(1, vec![Number(1), Other, Other, Text(String::new())])]);
    }

    #[test]
    fn of_a_row_that_goes_on_elsewhere_the_beginning_is_read() {
        for page_bytes in [512, 4_096] {
            for length in [100, 477, 478, 1_000, 4_061, 4_062, 5_000, 100_000] {
                let sql = format!("INSERT INTO a VALUES (7, 'x', printf('%.{length}c', 'y'), 8)");
                let row = &of(page_bytes, &sql)[0].1;
                assert_eq!(row[..2], [Cell::Number(7), Cell::Text("x".to_owned())]);
                match &row[2] {
                    Cell::Text(text) => assert_eq!(text.len(), length),
                    cell => assert!(*cell == Cell::Longer && row[3] == Cell::Longer, "{length}: {row:?}"),
                }
            }
        }
    }

    #[test]
    fn of_what_is_no_page_nothing_is_read() {
        assert_eq!(rows(&[], |_| None), []);
        for byte in 0..=255 {
            let mut page = [byte; 512];
            _ = rows(&page, |_| None);
            page[0] = LEAF_OF_A_TABLE;
            _ = rows(&page, |_| None);
        }
    }
}
