//! All customers of a store, and the orders in which they are found.
//!
//! A customer that nobody has changed is not kept but made again from the seed when it is needed; only its id and
//! its date are. Whoever was changed is kept in full. Two ordered indexes, by id and by date of modification,
//! and the email addresses let a request find what it asks for without looking at everything else.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeBounds;

use super::data;
use super::record::Record;

/// The customers.
#[derive(Clone, Debug)]
pub(super) struct Book {
    seed: u64,
    rows: BTreeMap<i32, Row>,
    by_modified: BTreeSet<(i64, i32)>,
    /// The lower-cased addresses of the customers that are kept in full.
    kept_emails: HashMap<String, i32>,
    passwords: HashMap<i32, Password>,
    /// What those who were changed were until then.
    earlier: HashMap<i32, Record>,
    /// Who was changed or deleted since this was asked last; kept for a replica only.
    touched: Option<Vec<i32>>,
    /// The highest id that was deleted.
    highest: i32,
    /// How often anything was changed, by which a keeper knows that there is news.
    changes: u64,
}

#[derive(Clone, Debug)]
struct Row {
    /// Seconds since 1970.
    modified: i64,
    /// None: as the seed makes it.
    kept: Option<Box<Record>>,
}

#[derive(Clone, Debug, Default)]
struct Password {
    changes: u32,
    last: String,
}

impl Book {
    /// The customers that a seed makes.
    pub fn generate(seed: u64, count: usize) -> Self {
        let rows: BTreeMap<i32, Row> = data::ids(seed, count)
            .map(|id| (id, Row { modified: data::dates(seed, id).1, kept: None }))
            .collect();
        let by_modified = rows.iter().map(|(id, row)| (row.modified, *id)).collect();
        Self {
            seed,
            rows,
            by_modified,
            kept_emails: HashMap::new(),
            passwords: HashMap::new(),
            earlier: HashMap::new(),
            touched: None,
            highest: 0,
            changes: 0,
        }
    }

    /// As it was kept: so many customers of a seed, without these, with those as they are since, and how often passwords were
    /// changed.
    pub fn resume(
        seed: u64,
        count: usize,
        deleted: &[i32],
        changed: Vec<(i32, i64, Record)>,
        passwords: HashMap<i32, u32>,
    ) -> Self {
        let mut book = Self::generate(seed, count);
        for id in deleted {
            book.delete(*id);
        }
        for (id, modified, record) in changed {
            book.store(id, record, modified);
        }
        let known = |(id, changes)| (id, Password { changes, last: String::new() });
        let passwords = passwords.into_iter().map(known).collect();
        Self { passwords, earlier: HashMap::new(), changes: 0, ..book }
    }

    /// How often anything was changed.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The customers that are not as the seed makes them, by id.
    pub fn changed(&self) -> impl Iterator<Item = &Record> {
        self.rows.values().filter_map(|row| row.kept.as_deref())
    }

    /// Who of so many customers of the seed is there no more.
    pub fn deleted(&self, count: usize) -> Vec<i32> {
        data::ids(self.seed, count).filter(|id| !self.contains(*id)).collect()
    }

    /// Whose password was changed, and how often.
    pub fn password_changes(&self) -> impl Iterator<Item = (i32, u32)> {
        self.passwords.iter().map(|(id, password)| (*id, password.changes))
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn contains(&self, id: i32) -> bool {
        self.rows.contains_key(&id)
    }

    /// One customer.
    pub fn record(&self, id: i32) -> Option<Cow<'_, Record>> {
        let row = self.rows.get(&id)?;
        Some(match &row.kept {
            Some(record) => Cow::Borrowed(record),
            None => Cow::Owned(data::record(self.seed, id)),
        })
    }

    /// When a customer was last modified, in seconds since 1970.
    pub fn modified(&self, id: i32) -> Option<i64> {
        self.rows.get(&id).map(|row| row.modified)
    }

    /// Ids in ascending order.
    pub fn ids(&self, range: impl RangeBounds<i32>) -> impl DoubleEndedIterator<Item = i32> {
        self.rows.range(range).map(|(id, _)| *id)
    }

    /// Ids by date of modification, then by id.
    pub fn ids_by_modified(
        &self,
        range: impl RangeBounds<(i64, i32)>,
    ) -> impl DoubleEndedIterator<Item = (i64, i32)> {
        self.by_modified.range(range).copied()
    }

    /// The id after the highest one that there ever was: none is given twice.
    pub fn next_id(&self) -> i32 {
        let highest = self.rows.last_key_value().map_or(0, |(id, _)| *id);
        highest.max(self.highest).saturating_add(1)
    }

    /// Who has an email address, whatever its case.
    pub fn holder_of(&self, email: &str) -> Option<i32> {
        let email = email.to_lowercase();
        self.kept_emails.get(&email).copied().or_else(|| self.unchanged_holder_of(&email))
    }

    /// An address that the seed made leads to its customer, if that one was never changed.
    fn unchanged_holder_of(&self, email: &str) -> Option<i32> {
        let id = data::id_in_email(email)?;
        let is_unchanged = self.rows.get(&id)?.kept.is_none();
        (is_unchanged && data::record(self.seed, id).text("email").to_lowercase() == email).then_some(id)
    }

    /// Stores a customer, new or changed, and sets its date of modification.
    pub fn store(&mut self, id: i32, mut record: Record, modified: i64) {
        record.set("date_modified", &super::http::quoted(&data::date_text(modified)));
        self.touch(id);
        self.keep_earlier(id, modified);
        self.forget(id);
        self.by_modified.insert((modified, id));
        self.kept_emails.insert(record.text("email").to_lowercase(), id);
        self.rows.insert(id, Row { modified, kept: Some(Box::new(record)) });
    }

    /// Deletes a customer, and says whether there was one.
    pub fn delete(&mut self, id: i32) -> bool {
        let existed = self.contains(id);
        if existed {
            self.highest = self.highest.max(id);
        }
        self.touch(id);
        self.forget(id);
        self.rows.remove(&id);
        self.passwords.remove(&id);
        self.earlier.remove(&id);
        existed
    }

    /// A customer as it was until it was last changed, if its date tells the two apart.
    pub fn earlier(&self, id: i32) -> Option<&Record> {
        self.earlier.get(&id)
    }

    fn keep_earlier(&mut self, id: i32, modified: i64) {
        let is_older = self.modified(id).is_some_and(|before| before < modified);
        let before = self.record(id).filter(|_| is_older).map(Cow::into_owned);
        match before {
            Some(before) => _ = self.earlier.insert(id, before),
            None => _ = self.earlier.remove(&id),
        }
    }

    /// Has changes remembered from now on, or no more.
    pub fn remember_changes(&mut self, is_wanted: bool) {
        self.touched = is_wanted.then(Vec::new);
    }

    /// Who was changed or deleted since this was asked last.
    pub fn take_touched(&mut self) -> Vec<i32> {
        self.touched.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn touch(&mut self, id: i32) {
        self.changes += 1;
        if let Some(touched) = &mut self.touched {
            touched.push(id);
        }
    }

    /// Takes a customer out of the indexes.
    fn forget(&mut self, id: i32) {
        let Some(row) = self.rows.get(&id) else { return };
        self.by_modified.remove(&(row.modified, id));
        if let Some(record) = &row.kept {
            let email = record.text("email").to_lowercase();
            if self.kept_emails.get(&email) == Some(&id) {
                self.kept_emails.remove(&email);
            }
        }
    }

    /// Gives a customer a new password.
    pub fn set_password(&mut self, id: i32, password: String) {
        self.changes += 1;
        let entry = self.passwords.entry(id).or_default();
        entry.changes += 1;
        entry.last = password;
    }

    /// How often a customer's password was changed, and what it is now.
    pub fn password(&self, id: i32) -> (u32, Option<&str>) {
        self.passwords.get(&id).map_or((0, None), |password| (password.changes, Some(&password.last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_customer_moves_in_every_index() {
        let mut book = Book::generate(1, 100);
        let old_email = book.record(5).unwrap().text("email");
        assert_eq!(book.holder_of(&old_email.to_uppercase()), Some(5));

        let mut record = book.record(5).unwrap().into_owned();
        record.set("email", "\"New@example.com\"");
        book.store(5, record, 2_000_000_000);

        assert_eq!(book.holder_of(&old_email), None);
        assert_eq!(book.holder_of("new@EXAMPLE.com"), Some(5));
        assert_eq!(book.ids_by_modified(..).next_back(), Some((2_000_000_000, 5)));
        assert_eq!(book.record(5).unwrap().text("date_modified"), "2033-05-18T03:33:20Z");
        assert_eq!(book.ids_by_modified(..).count(), 100);

        assert!(book.delete(5) && !book.delete(5));
        assert_eq!(
            (book.holder_of("new@example.com"), book.len(), book.ids_by_modified(..).count()),
            (None, 99, 99)
        );
    }
}
