//! Whether a file is still where it lived, and has not been set back: else what waits in it may have been sent already.
//!
//! A payment that waits in a backup was perhaps sent after the backup was made; a file that was copied to a second till has its
//! payments sent by both. So a file has a home, and a life beside it:
//!
//! | what | where | says |
//! |---|---|---|
//! | home | `state`, key `home` | which file it is (its identity, see `stray`), and on which machine it was last synced |
//! | life | `state`, key `life`, and `NAME-life`, beside the file | of which line it is, and how often something has left it |
//!
//! A backup has an identity of its own, so it is not at home wherever it is put; nor is any copy on another machine. A file and all
//! its copies are of one line, and whichever of them lives in a place moves the count beside it on. So a copy by other means that is
//! put back, or the file itself after a backup has sent something in its place, has sent less often than the life beside it tells
//! of, whatever was decided in it since. The count is a row of our own: what SQLite counts by itself, tools empty.
//!
//! Before the first sync of such a file the payments that wait in it are refused in the till's own words, each for itself: a person
//! says `retry` or `discard`. Attributes need nobody: they are held against what the store has. If the life shows that nothing was
//! sent since the copy was made, nothing happens twice, and nothing waits for anybody.
//!
//! Not seen: a copy by other means than ours that is used under another name on the same machine, a copy of a whole machine, and
//! a file on a machine that has no identity of its own. See docs/operations.md.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Transaction};

use super::apply::apply;
use super::open::beside;
use super::{Failed, Store, create, decisions, dirty, lock, row, state, stray};
use crate::error::{Error, Result};
use crate::flow::{CustomerPlan, Notice, Op, Outcome, Recovered, Rejection, Settlement};
use crate::resource::{CustomerId, FieldId, ResourceId, RowId};

/// Where a file lived, and how far it has come, in `state`.
const HOME: &str = "home";
const SO_FAR: &str = "life";
/// Before the number of a payment that is to be held, of a file that was set back: a key of `state` each, until it is.
const TO_HOLD: &str = "payment_to_hold.";
/// The key under which an earlier build noted them all: up to which row of the journal.
const ALL_TO_HOLD: &str = "payments_to_hold";
/// No key of those comes after this one.
const BEHIND_TO_HOLD: &str = "payment_to_hold/";
/// Behind the name of the file.
pub(super) const LIFE: &str = "-life";

/// Which file it is, and how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    identity: i64,
    /// The identity of the first of the files that are copies of each other.
    line: i64,
    /// How often something has left it, or the files of which it is a copy.
    sent: i64,
}

/// Where it was last synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Home {
    identity: i64,
    /// `None`: the machine has no identity.
    machine: Option<u64>,
}

/// What a file turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    AtHome,
    /// A copy, or of an older version, and nothing was sent since.
    Moved,
    /// What waits in it may have been sent since.
    SetBack,
}

fn find(now: Life, machine: Option<u64>, home: Option<Home>, beside: Option<Life>) -> Found {
    let Some(home) = home else { return Found::Moved };
    let beside = beside.filter(|life| life.line == now.line);
    let is_other_machine = matches!((machine, home.machine), (Some(here), Some(there)) if here != there);
    let is_behind = beside.is_some_and(|life| life.sent > now.sent);
    let is_of_it = |life: Life| life.identity == home.identity || life.identity == now.identity;
    match () {
        () if is_other_machine || is_behind => Found::SetBack,
        () if home.identity == now.identity && home.machine == machine => Found::AtHome,
        () if home.identity == now.identity => Found::Moved,
        // A backup in the file's place, which has sent nothing since.
        () if beside.is_some_and(is_of_it) => Found::Moved,
        () => Found::SetBack,
    }
}

/// Whether a till that has sent something lived at this place, and is not there any more, or an empty file in its stead: what opens a
/// file that is not there makes one. Where its log stayed, that is told instead.
pub fn has_left(path: &Path) -> bool {
    let is_nothing = path.metadata().map_or(true, |file| file.is_file() && file.len() == 0);
    is_nothing && stray::refuse_log_of_none(path).is_ok() && has_lived(path)
}

/// Whether a till that has sent something lived at this place.
pub(super) fn has_lived(path: &Path) -> bool {
    beside(path, LIFE).metadata().is_ok_and(|life| life.is_file() && life.len() > 0)
}

impl Store {
    /// Before anything is sent: refuses the payments that wait in a file that was set back or copied, once.
    ///
    /// # Errors
    /// When how far the file has come cannot be noted beside it: an older copy that is put back would not be known.
    pub(crate) fn come_home(&mut self, now: DateTime<Utc>) -> Result<Vec<Notice>> {
        self.can_note_beside()?;
        if let Some(life) = self.settle_at(&self.path.clone())? {
            life.leave_beside(&self.path);
        }
        self.hold_what_is_due(now)
    }

    /// Whether how far the file has come can be noted beside it: else nothing is sent. Where nothing is there yet, it is made
    /// when something leaves.
    ///
    /// # Errors
    /// When something else is in its place, or this user may not write it.
    pub fn can_note_beside(&self) -> Result<()> {
        let path = beside(&self.path, LIFE);
        lock::find(&path)?.map_or(Ok(()), |file| Life::refuse_other(&path, &file))
    }

    /// [`Store::come_home`] of a file that will be at `path`; what is to be noted beside it once it is there.
    pub(super) fn come_home_to(
        &mut self,
        path: &Path,
        now: DateTime<Utc>,
    ) -> Result<(Vec<Notice>, Option<Life>)> {
        let life = self.settle_at(path)?;
        Ok((self.hold_what_is_due(now)?, life))
    }

    /// From now on it is at home there; where it was set back, what waits in it is to be held, and nothing of it sent before.
    fn settle_at(&mut self, path: &Path) -> Result<Option<Life>> {
        let machine = machine();
        let home = self.state(HOME)?.and_then(|text| Home::read(&text));
        let file = Life::of(&self.connection).map_err(|e| self.error(e))?;
        let beside = Life::beside(path);
        let found = find(file, machine, home, beside);
        if found == Found::AtHome {
            return Ok(None);
        }
        let here = Home { identity: file.identity, machine };
        self.engine_write(|transaction| {
            state::write(transaction, HOME, Some(&here.text()))?;
            if found == Found::Moved {
                return Ok(Some(file.note(transaction)?));
            }
            note_to_hold(transaction)?;
            // What was decided in it may have been carried out, and sent, since.
            decisions::forget_waiting(transaction)?;
            // Whatever was in this place before is behind from now on.
            let ahead = beside.filter(|life| life.line == file.line).map_or(0, |life| life.sent);
            let life = Life { sent: file.sent.max(ahead), ..file }.moved_on();
            Ok(Some(life.note(transaction)?))
        })
    }

    /// Each payment and each password that was waiting then is refused for itself, as the store refuses one; what something of the app's
    /// refused last time too. A customer of whom that is not let be is not sent until it is.
    fn hold_what_is_due(&mut self, now: DateTime<Utc>) -> Result<Vec<Notice>> {
        if self.state(ALL_TO_HOLD)?.is_some() {
            self.engine_write(|transaction| Ok(note_each_to_hold(transaction)?))?;
        }
        let ids = self.read_at_once(|connection| Ok(to_hold(connection)?))?;
        let held = self.in_small_parts(&ids, |transaction, apart, id, notices: &mut Vec<Notice>| {
            let hold = || hold_edits_of(transaction, id, now);
            notices.extend(apart.outcomes(transaction, id, now, hold)?.into_iter().flatten());
            Ok(())
        })?;
        Ok(held.into_iter().flatten().collect())
    }
}

/// What no merge holds against the store, and why it waits for a person: a payment comes on top of what is there, and a password
/// is not told.
fn perhaps_sent(resource: ResourceId) -> impl Iterator<Item = (FieldId, &'static str)> {
    let payment = "this file was set back, or is a copy: the payment may have been sent since, by it or by the other one. \
                   Look at the balance in the store: it is in there: discard; it is not: retry";
    let password = "this file was set back, or is a copy: the password may have been sent since, by it or by the other one, and may have been \
                    changed by the customer after that: discard, unless it is to be set now: retry";
    [(resource.money(), payment), (resource.secret(), password)]
        .into_iter()
        .filter_map(|(field, words)| Some((field?, words)))
}

/// Every one that waits, whoever's, and every one that was refused: it may have been freed since. And every creation, of which all else is
/// part: one that is on its way waits for a person where a look does not find it.
fn note_to_hold(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let note = format!(
        "INSERT OR REPLACE INTO state (key, value)
         SELECT ?1 || seq, 'yes' FROM journal
         WHERE settled_at IS NULL
           AND CASE WHEN customer_id < 0 THEN op = 'create'
                    ELSE (outcome IS NULL OR outcome = 'rejected') AND (op = 'adjust' OR field IN ({})) END",
        row::names(FieldId::is_secret)
    );
    transaction.execute(&note, [TO_HOLD])?;
    Ok(())
}

/// What an earlier build noted, each for itself.
fn note_each_to_hold(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT OR REPLACE INTO state (key, value)
         SELECT ?1 || seq, 'yes' FROM journal
         WHERE settled_at IS NULL AND outcome IS NULL AND op = 'adjust'
           AND seq <= (SELECT CAST(value AS INTEGER) FROM state WHERE key = ?2)",
        (TO_HOLD, ALL_TO_HOLD),
    )?;
    state::write(transaction, ALL_TO_HOLD, None)
}

/// Edits that are to be held, and their customers.
const EDITS_TO_HOLD: &str = "SELECT journal.customer_id, journal.seq
     FROM state CROSS JOIN journal ON journal.seq = CAST(substr(state.key, length(?1) + 1) AS INTEGER)
     WHERE state.key >= ?1 AND state.key < ?2 AND journal.settled_at IS NULL
       AND (journal.outcome IS NULL OR journal.outcome = 'rejected')";

/// Customers of whom nothing is sent yet, because edits of theirs are to be held, and are not.
pub(super) fn to_hold(connection: &Connection) -> rusqlite::Result<Vec<CustomerId>> {
    let customers = format!("SELECT DISTINCT customer_id FROM ({EDITS_TO_HOLD})");
    let mut customers = connection.prepare_cached(&customers)?;
    customers.query_map([TO_HOLD, BEHIND_TO_HOLD], |row| Ok(CustomerId(row.get(0)?)))?.collect()
}

fn hold_edits_of(
    transaction: &Transaction<'_>,
    id: CustomerId,
    now: DateTime<Utc>,
) -> Result<Vec<Notice>, Failed> {
    if RowId::from(id).is_new() {
        return hold_creation_of(transaction, id.into(), now);
    }
    let Some(dirty) = dirty::load(transaction, id)? else { return Ok(Vec::new()) };
    let is_due = |op: &&Op| -> rusqlite::Result<bool> {
        let key = format!("{TO_HOLD}{}", op.seq);
        transaction.prepare_cached("SELECT 1 FROM state WHERE key = ?1")?.exists([key])
    };
    let mut settle = Vec::new();
    let waits = |op: &&Op| op.is_pending() || op.outcome == Some(Outcome::Rejected);
    for op in dirty.ops.iter().filter(waits) {
        if is_due(&op)? {
            settle.push(Settlement::new(op.seq, None));
            state::write(transaction, &format!("{TO_HOLD}{}", op.seq), None)?;
        }
    }
    let mut held = Recovered { plan: CustomerPlan { settle, ..CustomerPlan::nothing(id) }, is_pending: true };
    for (field, words) in perhaps_sent(dirty.resource()) {
        held.reject(&dirty, &Rejection { row: id.into(), field: Some(field), words: words.to_owned() })?;
    }
    let refused = |seq| dirty.op(seq).filter(|op| op.outcome == Some(Outcome::Rejected));
    for settlement in &mut held.plan.settle {
        let Some(op) = refused(settlement.seq) else { continue };
        let before: Option<String> = transaction
            .prepare_cached("SELECT reason FROM journal WHERE seq = ?1")?
            .query_row([op.seq.0], |row| row.get(0))?;
        let words = settlement.reason.take().unwrap_or_default();
        settlement.reason = Some(match before {
            Some(before) if !before.starts_with(&words) => {
                format!("{words}. It was refused before: {before}")
            }
            before => before.unwrap_or(words),
        });
        settlement.reject_group = op.reject_group;
    }
    apply(transaction, &dirty, &held.plan, now)
}

/// Why a creation waits for a person.
const PERHAPS_CREATED: &str = "this file was set back, or is a copy: the customer may have been created since, by it or by the other one, and may have \
                               another address by now. Look in the store: it is there: discard; it is not: retry";

fn hold_creation_of(
    transaction: &Transaction<'_>,
    id: RowId,
    now: DateTime<Utc>,
) -> Result<Vec<Notice>, Failed> {
    let held = create::hold(transaction, id, PERHAPS_CREATED, now)?;
    let Some((seq, field)) = held.zip(id.resource.unique()) else { return Ok(Vec::new()) };
    state::write(transaction, &format!("{TO_HOLD}{seq}"), None)?;
    let (customer_id, reason) = (id.customer, Some(PERHAPS_CREATED.to_owned()));
    Ok(vec![Notice { customer_id, field, seq, outcome: Outcome::Rejected, reason }])
}

impl Home {
    fn read(text: &str) -> Option<Home> {
        let (identity, machine) = text.split_once(' ')?;
        let machine = if machine == "-" { None } else { Some(u64::from_str_radix(machine, 16).ok()?) };
        Some(Home { identity: identity.parse().ok()?, machine })
    }

    fn text(self) -> String {
        match self.machine {
            Some(machine) => format!("{} {machine:016x}", self.identity),
            None => format!("{} -", self.identity),
        }
    }
}

impl Life {
    const BYTES: u64 = 68;

    fn of(connection: &Connection) -> rusqlite::Result<Life> {
        let (identity, so_far): (i64, Option<String>) = connection
            .prepare_cached(
                "SELECT coalesce(identity, 0), (SELECT value FROM state WHERE key = ?1) FROM tillsync_guard",
            )?
            .query_row([SO_FAR], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let so_far = so_far.as_deref().and_then(|text| {
            let (line, sent) = text.split_once(' ')?;
            Some(Life { identity, line: line.parse().ok()?, sent: sent.parse().ok()? })
        });
        Ok(so_far.unwrap_or(Life { identity, line: identity, sent: 0 }))
    }

    /// Something leaves the file once this transaction is on the disk; only then it is noted beside it.
    pub(super) fn move_on(transaction: &Transaction<'_>) -> rusqlite::Result<Life> {
        Life::of(transaction)?.moved_on().note(transaction)
    }

    fn moved_on(self) -> Life {
        Life { sent: self.sent.saturating_add(1), ..self }
    }

    fn note(self, transaction: &Transaction<'_>) -> rusqlite::Result<Life> {
        state::write(transaction, SO_FAR, Some(&format!("{} {}", self.line, self.sent)))?;
        Ok(self)
    }

    /// Before what was committed leaves: from now on, what is older was set back. A disk that does not take it loses only that
    /// guard.
    pub(super) fn leave_beside(self, path: &Path) {
        if let Err(error) = self.write(&beside(path, LIFE)) {
            tracing::warn!(%error, "how far the file has come could not be noted beside it");
        }
    }

    /// `None`: there is none, or it cannot be read; that guard is lost then.
    fn beside(path: &Path) -> Option<Life> {
        let mut text = String::new();
        let file = lock::find(&beside(path, LIFE)).ok()??;
        file.take(Life::BYTES).read_to_string(&mut text).ok()?;
        let mut words = text.split_whitespace();
        let mut number = || words.next()?.parse().ok();
        let life = Life { identity: number()?, line: number()?, sent: number()? };
        // One that was not written to its end.
        (words.next() == Some("sent")).then_some(life)
    }

    /// Refuses what holds something else; a crash may have cut short what it says.
    fn refuse_other(path: &Path, mut file: &File) -> Result<()> {
        const OURS: &[u8] = b" -0123456789sent\n\0";
        let mut text = Vec::new();
        let read = file.rewind().and_then(|()| file.take(Life::BYTES + 1).read_to_end(&mut text));
        read.map_err(|e| Error::file(path, &e))?;
        let is_ours = text.len() as u64 <= Life::BYTES && text.iter().all(|byte| OURS.contains(byte));
        if is_ours { Ok(()) } else { Err(lock::no_lock(path, "holds what is not written there")) }
    }

    fn write(self, path: &Path) -> Result<()> {
        let mut file = lock::open(path, true)?;
        Life::refuse_other(path, &file)?;
        // Always as long, so that one writes over the other.
        let text = format!("{:>20} {:>20} {:>20} sent\n", self.identity, self.line, self.sent);
        let written = file.rewind().and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(|e| Error::file(path, &e))
    }
}

/// Which machine this is, by a number that tells nobody which; `None`: it has no identity.
fn machine() -> Option<u64> {
    /// What is shorter stands there before the machine has one.
    const LEAST_SIGNS: usize = 32;
    let id = identity_of_this_machine(|id| id.trim().len() >= LEAST_SIGNS)?;
    // FNV-1a: the same in every build.
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    Some(id.trim().as_bytes().iter().chain(b" tillsync").fold(0xcbf2_9ce4_8422_2325, step))
}

#[cfg(windows)]
fn identity_of_this_machine(is_one: impl Fn(&String) -> bool) -> Option<String> {
    crate::windows::machine().filter(is_one)
}

#[cfg(not(windows))]
fn identity_of_this_machine(is_one: impl Fn(&String) -> bool) -> Option<String> {
    let files = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
    files.iter().find_map(|path| std::fs::read_to_string(path).ok().filter(&is_one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_home_and_the_life_beside_it() {
        // Of one line, unless it says otherwise.
        let file = |identity, sent| Life { identity, line: 7, sent };
        let other = |sent| Life { identity: 9, line: 9, sent };
        let home = |identity, machine| Some(Home { identity, machine: Some(machine) });
        let found = |now, home, beside| find(now, Some(1), home, beside);
        assert_eq!(found(file(7, 50), None, None), Found::Moved, "a new file, or one of an older version");
        assert_eq!(found(file(7, 50), home(7, 1), None), Found::AtHome, "the life was lost");
        assert_eq!(found(file(7, 50), home(7, 1), Some(file(7, 40))), Found::AtHome);
        assert_eq!(found(file(7, 50), home(7, 1), Some(file(7, 51))), Found::SetBack, "a copy put back");
        assert_eq!(found(file(7, 50), home(7, 1), Some(file(8, 51))), Found::SetBack, "a backup lived here");
        assert_eq!(found(file(7, 50), home(7, 1), Some(file(8, 50))), Found::AtHome, "and sent nothing");
        assert_eq!(found(file(7, 50), home(7, 2), Some(file(7, 40))), Found::SetBack, "a second till");
        assert_eq!(found(file(8, 50), home(7, 1), None), Found::SetBack, "a backup");
        assert_eq!(found(file(8, 50), home(7, 1), Some(file(7, 51))), Found::SetBack, "a backup put back");
        assert_eq!(found(file(8, 50), home(7, 1), Some(file(7, 50))), Found::Moved, "nothing was sent since");
        assert_eq!(found(file(8, 50), home(7, 1), Some(file(8, 50))), Found::Moved, "it was put back before");
        assert_eq!(
            found(file(8, 50), home(7, 1), Some(file(6, 50))),
            Found::SetBack,
            "in another copy's place"
        );
        assert_eq!(found(file(8, 50), home(7, 1), Some(other(10))), Found::SetBack, "of another file");
        assert_eq!(found(file(7, 50), home(7, 1), Some(other(99))), Found::AtHome, "of another file");
        assert_eq!(find(file(7, 50), None, home(7, 1), None), Found::Moved, "no identity any more");
    }

    #[test]
    fn what_is_noted_is_read_again() {
        for home in
            [Home { identity: i64::MIN, machine: Some(u64::MAX) }, Home { identity: 7, machine: None }]
        {
            assert_eq!(Home::read(&home.text()), Some(home));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("till.db");
        let longest = Life { identity: i64::MIN, line: i64::MIN, sent: i64::MAX };
        for life in [longest, Life { identity: 1, line: 2, sent: 3 }] {
            life.leave_beside(&path);
            assert_eq!(Life::beside(&path), Some(life));
        }
        std::fs::write(folder.path().join("till.db-life"), "1 2 3").unwrap();
        assert_eq!(Life::beside(&path), None);
    }
}
