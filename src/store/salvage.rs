//! Edits that stand in a log whose file is no more: somebody copied another one into it, or put one in its place.
//!
//! A log holds whole pages, each as it was after one of the commits since the log began. The journal is only ever added to, so what
//! was edited last stands in its last pages, and these are in the log. Each page of a table that is found there is read row by row, and what has
//! the shape of an edit is one: of pages of several commits the last, and nothing behind the last commit. Of an encrypted log nothing can be read.
//!
//! They are told and not made again: nobody knows what the store has of them, and what a person has done about it since.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::params;
use serde::Serialize;

use super::Store;
use super::leaf::{Cell, rows};
use crate::descriptors::LogFile;
use crate::error::Result;
use crate::resource::{CustomerId, EditSeq, FieldId};

const HEAD: u64 = 32;
const FRAME_HEAD: u64 = 24;
/// The columns of the journal, in their order in the file.
const CUSTOMER: usize = 1;
const FIELD: usize = 2;
const OP: usize = 3;
const VALUE: usize = 4;
const AT: usize = 6;
const AUTHOR: usize = 7;
const LABEL: usize = 8;
const SETTLED_AT: usize = 12;
const OF_RESOURCE: usize = 17;

/// An edit that was found in the log of a file that is no more, and had not been settled there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Salvaged {
    /// Its place in the journal of that file.
    pub seq: EditSeq,
    /// The customer.
    pub customer_id: CustomerId,
    /// The attribute.
    pub field: String,
    /// `set` or `adjust`.
    pub op: String,
    /// What was set, as JSON text, or the signed amount. A password is not in it.
    pub value: String,
    /// When, by the till's clock.
    pub at: String,
    /// Who, if that was told.
    pub author: Option<String>,
    /// For what, if that was told.
    pub label: Option<String>,
}

impl Store {
    /// Those that are not in this file's journal too.
    pub(super) fn without_its_own(&self, found: Vec<Salvaged>) -> Result<Vec<Salvaged>> {
        self.engine_read(|transaction| {
            let mut same = transaction.prepare("SELECT 1 FROM journal WHERE seq = ?1 AND at = ?2")?;
            let mut others = Vec::new();
            for edit in found {
                if !same.exists(params![edit.seq.0, edit.at])? {
                    others.push(edit);
                }
            }
            Ok(others)
        })
    }
}

/// What waits in the log, the oldest first; nothing where it cannot be read.
pub(super) fn of_log(log: &Path) -> Vec<Salvaged> {
    let pages = last_pages(log).unwrap_or_default();
    let mut found = BTreeMap::new();
    let other = |number| pages.get(&number).map(Vec::as_slice);
    for row in pages.values().flat_map(|page| rows(page, other)) {
        if let Some(edit) = edit(&row) {
            found.insert(edit.seq, edit);
        }
    }
    found.into_values().collect()
}

/// Each page as it was after the last commit that is in the log.
fn last_pages(log: &Path) -> Option<BTreeMap<u32, Vec<u8>>> {
    let mut file = LogFile::open(log)?;
    let head = file.read::<32>(0)?;
    let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    let page_bytes = match number(&head[8..12]) {
        bytes if bytes.is_power_of_two() && (512..=65_536).contains(&bytes) => bytes,
        _ => return None,
    };
    let (mut pages, mut uncommitted, mut at) = (BTreeMap::new(), BTreeMap::new(), HEAD);
    while let Some(frame) = file.read::<24>(at).filter(|frame| frame[8..16] == head[16..24]) {
        let mut page = vec![0; usize::try_from(page_bytes).ok()?];
        if !file.read_into(&mut page, at + FRAME_HEAD) {
            break;
        }
        uncommitted.insert(number(&frame[..4]), page);
        if number(&frame[4..8]) > 0 {
            pages.append(&mut uncommitted);
        }
        at += FRAME_HEAD + u64::from(page_bytes);
    }
    Some(pages)
}

/// None: it is no edit, or is settled.
fn edit((rowid, row): &(i64, Vec<Cell>)) -> Option<Salvaged> {
    let text = |place: usize| row.get(place).and_then(Cell::text);
    let customer_id = CustomerId(row.get(CUSTOMER)?.number()?);
    let (field, op, value, at) = (text(FIELD)?, text(OP)?, text(VALUE)?, text(AT)?);
    let is_edit = row.first()? == &Cell::Null
        && customer_id.0 > 0
        && FieldId::named(field).is_some()
        && ["set", "adjust"].contains(&op)
        && at.len() >= 20
        && at.as_bytes()[10] == b'T';
    // Rows of before there were several resources end before that.
    let is_a_customers = row.get(OF_RESOURCE).is_none_or(|resource| resource == &Cell::Null);
    if !is_edit || !is_a_customers || row.get(SETTLED_AT)? != &Cell::Null {
        return None;
    }
    Some(Salvaged {
        seq: EditSeq(*rowid),
        customer_id,
        field: field.to_owned(),
        op: op.to_owned(),
        value: value.to_owned(),
        at: at.to_owned(),
        author: text(AUTHOR).map(str::to_owned),
        label: text(LABEL).map(str::to_owned),
    })
}
