//! What one transaction is to do with one row.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use crate::resource::{BadRecord, EditSeq, FieldId, Record, RowId, Subject, Value};

/// What became of a journaled edit. `None` in its place means pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Committed to a batch; unsettled until its answer is known.
    InFlight,
    /// The server has it.
    Uploaded,
    /// The server already had it, or it was taken back: no call was needed.
    Unchanged,
    /// A later edit of the same attribute took its place.
    Superseded,
    /// The server refused it; it waits for a person.
    Rejected,
    /// Both sides changed the attribute; it waits for a decision.
    Held,
    /// The user gave it up.
    Discarded,
    /// The remote side was kept.
    Remote,
    /// The store has another row that says the same: the two are one to it, and this one stays as it was there.
    Merged,
}

impl Outcome {
    /// The word in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::InFlight => "in_flight",
            Outcome::Uploaded => "uploaded",
            Outcome::Unchanged => "unchanged",
            Outcome::Superseded => "superseded",
            Outcome::Rejected => "rejected",
            Outcome::Held => "held",
            Outcome::Discarded => "discarded",
            Outcome::Remote => "remote",
            Outcome::Merged => "merged",
        }
    }

    /// The outcome of that word.
    pub fn named(word: &str) -> Option<Outcome> {
        use Outcome::*;
        [InFlight, Uploaded, Unchanged, Superseded, Rejected, Held, Discarded, Remote, Merged]
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
    }

    /// Whether nothing more will happen to the edit.
    pub fn is_settled(self) -> bool {
        !matches!(self, Outcome::InFlight | Outcome::Rejected | Outcome::Held)
    }
}

/// A new outcome of one journal row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The row.
    pub seq: EditSeq,
    /// Its outcome; `None`: pending again.
    pub outcome: Option<Outcome>,
    /// Why, in the server's words, for a rejection. The last ones stay beside whatever else waits for a person.
    pub reason: Option<String>,
    /// The rows that were rejected together because no field was named share a number.
    pub reject_group: Option<i64>,
}

impl Settlement {
    /// A row and what became of it.
    pub fn new(seq: EditSeq, outcome: impl Into<Option<Outcome>>) -> Settlement {
        Settlement { seq, outcome: outcome.into(), reason: None, reject_group: None }
    }
}

/// What is to become of the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum SnapshotPlan {
    /// It stays.
    #[default]
    Keep,
    /// The server describes the customer so.
    Put(Record),
    /// The customer is gone.
    Remove,
}

/// What is to be written about a conflict. Values are JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConflictPlan {
    /// Both sides changed a field; `resolution` is `None` when a person must decide.
    Record {
        /// What it is about.
        subject: Subject,
        /// What both started from.
        base: String,
        /// The till's.
        local: String,
        /// The store's.
        remote: String,
        /// Who decided, or is asked: `hold`, `local`, `remote`, `latest`, `resolver`, `merge`.
        policy: &'static str,
        /// What was decided; `None`: it waits.
        resolution: Option<&'static str>,
        /// JSON of the value that was decided for; `None`: it waits.
        result: Option<String>,
        /// Who made the local edit.
        author: Option<String>,
        /// The newest local edit.
        seq: Option<EditSeq>,
    },
    /// One side of an open conflict moved on.
    Update {
        /// The open conflict.
        id: i64,
        /// The till's value now.
        local: Option<String>,
        /// The store's value now.
        remote: Option<String>,
    },
    /// An open conflict ended by itself.
    Close {
        /// The open conflict.
        id: i64,
        /// How.
        resolution: &'static str,
    },
}

/// A row that a person's decision adds to the journal: for a value that is none of the store's, it is an edit like any
/// other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The attribute.
    pub field: FieldId,
    /// What was decided for.
    pub value: Verdict,
    /// What the store has.
    pub was: Value,
}

/// What a decision comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The attribute shall have this value.
    Set(Value),
    /// The balance shall change by this: what was decided for, less what the store has. So what is adjusted meanwhile,
    /// here or there, is kept.
    Adjust(Decimal),
}

/// Edits that the store said yes to, and that it does not have: they had settled, and wait for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revived {
    /// The attempt that tells of it.
    pub attempt: i64,
    /// The attribute.
    pub field: FieldId,
    /// Its rows, with what becomes of them. History may be gone.
    pub settle: Vec<Settlement>,
}

/// Everything that one transaction is to do with one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerPlan {
    /// The row.
    pub id: RowId,
    /// Its snapshot.
    pub snapshot: SnapshotPlan,
    /// Columns of the working copy that get another value.
    pub columns: Vec<(FieldId, Value)>,
    /// The working copy's row goes too.
    pub remove_row: bool,
    /// Journal rows and their new outcomes.
    pub settle: Vec<Settlement>,
    /// Conflicts to record, update or close.
    pub conflicts: Vec<ConflictPlan>,
    /// What a person decided, as an edit.
    pub decided: Option<Decided>,
    /// Attempts that are proven to have landed, or to be void: they go from the record.
    pub void: BTreeSet<i64>,
    /// Attempts that a reading has shown not to have landed by then.
    pub refuted: BTreeSet<i64>,
    /// Edits that had settled, and have not landed.
    pub revived: Vec<Revived>,
    /// What landed, as later edits stand on it.
    pub landed: BTreeMap<FieldId, Value>,
}

impl CustomerPlan {
    /// A plan that does nothing yet.
    pub fn nothing(id: impl Into<RowId>) -> CustomerPlan {
        CustomerPlan {
            id: id.into(),
            snapshot: SnapshotPlan::Keep,
            columns: Vec::new(),
            remove_row: false,
            settle: Vec::new(),
            conflicts: Vec::new(),
            decided: None,
            void: BTreeSet::new(),
            refuted: BTreeSet::new(),
            revived: Vec::new(),
            landed: BTreeMap::new(),
        }
    }

    /// Whether there is nothing to write.
    pub fn is_nothing(&self) -> bool {
        *self == CustomerPlan::nothing(self.id)
    }

    /// What both sides have of an attribute where of this plan no more is written than what becomes of the edits: what the store
    /// tells, if the working copy is as it should be then; else what landed. `None`: what they had before.
    ///
    /// # Errors
    /// When a record is no customer.
    pub fn agreed(&self, field: FieldId) -> Result<Option<Value>, BadRecord> {
        let is_to_change = self.columns.iter().any(|(column, _)| *column == field);
        if let SnapshotPlan::Put(told) = &self.snapshot
            && !is_to_change
        {
            let told = told.attributes()?;
            if told.tells(field) {
                return Ok(Some(told.get(field)));
            }
        }
        Ok(self.landed.get(&field).cloned())
    }
}
