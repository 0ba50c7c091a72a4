//! P7: no question is asked that need not be. A push asks for customers by id, never for a list; and a pull of everybody that
//! was cut goes on where it was cut, whatever other pulls ran in between.

use std::collections::BTreeSet;

use serde_json::Value;
use tillsync::Ticket;

use super::{Deed, Invariant, Verdict};
use crate::script::Job;
use crate::world::{Ended, World};

#[derive(Default)]
pub struct Thrift {
    /// Lists that were asked for in this run.
    lists: Vec<String>,
    /// The last of them, until the store has answered it with customers.
    unanswered: Option<Ticket>,
    /// Tills whose last pull of everybody ended with an error behind its first page.
    cut: BTreeSet<usize>,
}

impl Invariant for Thrift {
    fn saw(&mut self, world: &mut World, deed: &Deed<'_>) -> Verdict {
        if let Deed::SetBack { .. } = deed {
            self.cut.remove(&world.active);
        }
        match deed {
            Deed::Leaves { ticket, query, body: "" } if !query.contains("id:in=") => {
                self.lists.push((*query).to_owned());
                self.unanswered = Some(*ticket);
            }
            Deed::Answered { ticket, answer: Ok(answer), .. } if self.unanswered == Some(*ticket) => {
                let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                if answer.status == 204 || answer.status == 200 && body["data"].is_array() {
                    self.unanswered = None;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn at_restart(&mut self, world: &mut World, ended: &Ended<'_>) -> Verdict {
        let (till, lists) = (world.active, std::mem::take(&mut self.lists));
        if let (Job::Push, Some(list)) = (ended.job, lists.first()) {
            return Err(format!("till {till}: a push asks for a list: {list}"));
        }
        let of_everybody: Vec<&String> =
            lists.iter().filter(|query| !query.contains("date_modified")).collect();
        let (Some(first), Some(last)) = (of_everybody.first(), of_everybody.last()) else { return Ok(()) };
        let is_begun_anew = self.cut.contains(&till) && !is_behind(first);
        // A list came to its end, whole or not, if its last page did: what failed came after it. A dead process may have noted less than it asked for.
        if is_behind(last) && self.unanswered.is_some() && ended.error.is_some() {
            self.cut.insert(till);
        } else {
            self.cut.remove(&till);
        }
        match is_begun_anew {
            true => Err(format!(
                "till {till}: a pull of everybody begins anew, and was cut behind its first page"
            )),
            false => Ok(()),
        }
    }
}

/// Whether a list is asked for from somewhere behind its start.
fn is_behind(query: &str) -> bool {
    query.contains("&after=") || query.contains("&page=")
}
