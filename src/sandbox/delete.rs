//! `DELETE /customers?id:in=…`: read the call, take out whom it names, answer.

use super::behaviours::{DeletedValues, Deletions};
use super::core::StoreCore;
use super::faults::Fault;
use super::http::{Problem, RawResponse, parse_query};
use super::query::numbers;

impl StoreCore {
    /// Serves one deletion. One that names nobody is answered as if all was well, and no client of ours makes it.
    pub(super) fn serve_deletion(
        &mut self,
        query: &str,
        fault: Option<Fault>,
    ) -> Result<RawResponse, Problem> {
        let ids = ids_to_delete(query).ok_or_else(|| Problem::violation(422, "id:in is not valid"))?;
        if ids.is_empty() {
            self.ledger.violation("a deletion names nobody".to_owned());
        }
        self.refuse_deletion(&ids)?;
        let there: Vec<i32> = ids.iter().copied().filter(|id| self.book.contains(*id)).collect();
        let mut gone = &there[..];
        if matches!(fault, Some(Fault::Ignored | Fault::Echoed)) {
            gone = &[];
        }
        if fault == Some(Fault::SkippedIds) && gone.len() > 1 {
            gone = &gone[1..];
        }
        gone.iter().for_each(|id| self.take_out(*id));
        match self.options.behaviours.deletions {
            Deletions::NotFoundOfNobody if there.is_empty() => {
                Err(Problem::plain(404, "there is no such customer"))
            }
            Deletions::WithBody => Ok(RawResponse::json(200, r#"{"data":[],"meta":{}}"#.to_owned())),
            _ => Ok(RawResponse { status: 204, ..RawResponse::default() }),
        }
    }

    fn refuse_deletion(&self, ids: &[i32]) -> Result<(), Problem> {
        let behaviours = self.options.behaviours;
        let most = behaviours.delete_at_most as usize;
        if most > 0 && ids.len() > most {
            return Err(Problem::plain(413, format!("more than {most} ids")));
        }
        let every = i32::try_from(behaviours.undeletable_every).unwrap_or(0);
        match ids.iter().any(|id| every > 0 && id % every == 0) {
            true => Err(Problem {
                errors: vec![("id".to_owned(), "has open orders".to_owned())],
                ..Problem::plain(422, "a customer cannot be deleted")
            }),
            false => Ok(()),
        }
    }

    fn take_out(&mut self, id: i32) {
        if self.options.behaviours.deleted_values == DeletedValues::Go {
            self.attributes.forget(id);
        }
        self.book.delete(id);
    }
}

/// The ids that a deletion names.
pub(super) fn ids_to_delete(query: &str) -> Option<Vec<i32>> {
    let pairs = parse_query(query);
    pairs.iter().find(|(name, _)| name == "id:in").map_or(Some(Vec::new()), |(_, value)| {
        match value.as_str() {
            "" => Some(Vec::new()),
            ids => numbers(ids),
        }
    })
}
