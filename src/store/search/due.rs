//! Whoever the index does not have yet, as they are now: they are found by their own texts.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row, params};

use super::letters::Letters;
use super::question::{Question, Sought};
use super::{COLUMNS, PHONE, index_has_begun, listed, numbers, texts, through};
use crate::resource::CustomerId;

/// Of whom the index may be wrong.
pub(super) enum Due {
    /// It is not there, or not whole.
    Everybody,
    /// It has all but these.
    These(BTreeSet<CustomerId>),
}

/// More than these are as many as everybody.
const FEW: usize = 2_000;

const THESE: &str = "SELECT customer_id FROM tillsync_search_due
     UNION
     SELECT customer_id FROM journal
     WHERE seq > ?1 AND field IN ('*', 'email', 'phone', 'last_name', 'first_name', 'company')
     LIMIT ?2";

impl Due {
    pub(super) fn now(connection: &Connection) -> rusqlite::Result<Due> {
        let through = through(connection)?.filter(|_| index_has_begun(connection).unwrap_or(false));
        let Some(through) = through else { return Ok(Due::Everybody) };
        if listed(connection)?.is_some() {
            return Ok(Due::Everybody);
        }
        let these: BTreeSet<CustomerId> = connection
            .prepare_cached(THESE)?
            .query_map(params![through, FEW + 1], |row| row.get(0).map(CustomerId))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(if these.len() > FEW { Due::Everybody } else { Due::These(these) })
    }

    /// Of those, whom each question finds that no question before it does, by their ids.
    pub(super) fn ask(
        &self,
        connection: &Connection,
        questions: &[Question],
    ) -> rusqlite::Result<Vec<Vec<CustomerId>>> {
        let mut asked = Asked::new(questions);
        match self {
            Due::Everybody => {
                let mut all =
                    connection.prepare_cached(&format!("SELECT {COLUMNS} FROM customer ORDER BY id"))?;
                let mut rows = all.query([])?;
                while let Some(row) = rows.next()? {
                    asked.ask(row)?;
                }
            }
            Due::These(ids) => {
                let mut one =
                    connection.prepare_cached(&format!("SELECT {COLUMNS} FROM customer WHERE id = ?1"))?;
                for id in ids {
                    let mut rows = one.query([id.0])?;
                    while let Some(row) = rows.next()? {
                        asked.ask(row)?;
                    }
                }
            }
        }
        Ok(asked.found)
    }
}

struct Asked {
    letters: Letters,
    questions: Vec<Sought>,
    is_of_phones: bool,
    texts: [String; PHONE + 1],
    found: Vec<Vec<CustomerId>>,
}

impl Asked {
    fn new(questions: &[Question]) -> Asked {
        let mut letters = Letters::default();
        let questions: Vec<Sought> = questions.iter().map(|one| one.for_texts(&mut letters)).collect();
        Asked {
            letters,
            is_of_phones: questions.iter().any(Sought::is_of_phones),
            texts: Default::default(),
            found: questions.iter().map(|_| Vec::new()).collect(),
            questions,
        }
    }

    fn ask(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        let texts = texts(row)?;
        for (text, words) in texts.iter().zip(&mut self.texts).take(PHONE) {
            self.letters.read(text, words);
        }
        self.texts[PHONE] =
            if self.is_of_phones { format!(" {} ", numbers(&texts[PHONE])) } else { String::new() };
        if let Some(place) = self.questions.iter().position(|question| question.finds(&self.texts)) {
            self.found[place].push(CustomerId(row.get(0)?));
        }
        Ok(())
    }
}
