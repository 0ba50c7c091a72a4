//! A reading that takes back what was changed a moment ago; see `flow/lately.rs`.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::attempt;
use crate::flow::{Attempt, Lately, Moment};
use crate::resource::{Attributes, FieldId};

/// Whether a reading takes back what is known of a customer and was changed a moment ago. What the store said yes to and has not
/// shown yet is judged by these readings, and not here, where they show it as it was before that, and not earlier; what its answer showed
/// has landed, though it bore no date. Nor does one take back anything that shows what was sent and taken for lost, but for money.
pub(super) fn is_taken_back(
    connection: &Connection,
    lately: &Lately,
    known: &Attributes<'_>,
    told: &Attributes<'_>,
    now: Moment,
    is_doubted: bool,
) -> rusqlite::Result<bool> {
    let is_judged_by = |attempt: &Attempt| attempt.is_told_as_before(told);
    let takes_back = |except: &_| lately.is_taken_back(known, told, now, is_doubted, except);
    but_for_unshown(connection, told, is_judged_by, takes_back)
}

/// The same of one that shows credit or a form field as nobody here has known it, where this till has changed it a moment ago, or a
/// reading of that customer has lagged already.
pub(super) fn is_moved_again(
    connection: &Connection,
    lately: &Lately,
    known: &Attributes<'_>,
    told: &Attributes<'_>,
    now: Moment,
    is_doubted: bool,
) -> rusqlite::Result<bool> {
    let is_moved = |except: &_| lately.is_moved_again(known, told, now, is_doubted, except);
    but_for_unshown(connection, told, |_| true, is_moved)
}

fn but_for_unshown(
    connection: &Connection,
    told: &Attributes<'_>,
    is_judged_by: impl Fn(&Attempt) -> bool,
    takes_back: impl Fn(&BTreeSet<FieldId>) -> bool,
) -> rusqlite::Result<bool> {
    if !takes_back(&BTreeSet::new()) {
        return Ok(false);
    }
    let attempts = attempt::load(connection, told.row())?;
    let is_unshown = |attempt: &&Attempt| {
        let shows = || !attempt.field.is_money() && attempt.is_shown(&told.get(attempt.field));
        let is_open = || !attempt.is_echoed && is_judged_by(attempt);
        !attempt.covers.is_empty() && if attempt.is_accepted { is_open() } else { shows() }
    };
    let unshown: BTreeSet<FieldId> =
        attempts.iter().filter(is_unshown).map(|attempt| attempt.field).collect();
    Ok(unshown.is_empty() || takes_back(&unshown))
}
