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

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::super::http::RawRequest;
    use super::super::options::SandboxOptions;
    use super::*;

    fn asked(store: &mut StoreCore, query: &str) -> u16 {
        let request = RawRequest::get(store.customers_path(), query)
            .with_header("X-Auth-Token", store.token())
            .with_header("User-Agent", "till/1");
        let request = RawRequest { method: "DELETE".to_owned(), ..request };
        let now: DateTime<Utc> = DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default();
        store.handle(now, &request).status
    }

    #[test]
    fn a_deletion_says_yes_to_nobody_too_and_that_is_noted() {
        let mut store = StoreCore::new(&SandboxOptions { customers: 5, ..SandboxOptions::default() });
        for query in ["", "id:in=", "id:in=77"] {
            assert_eq!(asked(&mut store, query), 204, "{query}");
        }
        assert_eq!((store.book.len(), store.ledger.stats.violations), (5, 2));
        assert_eq!(asked(&mut store, "id:in=2,3"), 204);
        assert_eq!(asked(&mut store, "id:in=x"), 422);
        assert_eq!((store.book.len(), store.ledger.stats.delete), (3, 5));
        for (behaviours, query, status) in [
            ("delete-at-most=1", "id:in=1,4", 413),
            ("undeletable-every=4", "id:in=1,4", 422),
            ("deletions=404-of-nobody", "id:in=77", 404),
        ] {
            store.set_behaviours(behaviours.parse().unwrap());
            assert_eq!(asked(&mut store, query), status, "{behaviours}");
        }
        assert_eq!(store.book.len(), 3, "none of a call that is refused");
        store.set_behaviours("deletions=200".parse().unwrap());
        assert_eq!((asked(&mut store, "id:in=1"), store.book.len()), (200, 2));
    }
}
