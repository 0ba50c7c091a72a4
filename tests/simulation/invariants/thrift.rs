//! P7: no question is asked that need not be. A push asks for customers by id, never for a list; and a pull of everybody that
//! was cut goes on where it was cut, whatever other pulls ran in between.

use std::collections::BTreeSet;

use tillsync::Ticket;

use super::{Deed, Invariant, Verdict};
use crate::script::Job;
use crate::values::lenient;
use crate::world::{Ended, World};

#[derive(Default)]
pub struct Thrift {
    /// Lists that were asked for in this run.
    lists: Vec<String>,
    /// The last of them, until the store has answered it with customers; and whether it is one of everybody.
    unanswered: Option<(Ticket, bool)>,
    /// It was answered with nothing at all: said twice, that is a list without anybody.
    is_met_with_silence: bool,
    /// A page of everybody brought somebody in this run: there is something to go on from.
    has_brought: bool,
    /// Tills whose last pull of everybody ended with an error behind its first page.
    cut: BTreeSet<usize>,
}

impl Invariant for Thrift {
    fn saw(&mut self, world: &mut World, deed: &Deed<'_>) -> Verdict {
        if let Deed::SetBack { .. } = deed {
            self.cut.remove(&world.active);
        }
        match deed {
            Deed::Leaves { ticket, query, body: "" } if !query.contains(":in=") => {
                self.is_met_with_silence &= self.lists.last().is_some_and(|last| last == query);
                self.lists.push((*query).to_owned());
                self.unanswered = Some((*ticket, is_of_everybody(query)));
            }
            Deed::Answered { ticket, answer: Ok(answer), .. } => {
                let Some((_, is_of_everybody)) = self.unanswered.filter(|(of, _)| of == ticket) else {
                    return Ok(());
                };
                let body = lenient(&String::from_utf8_lossy(&answer.body));
                let is_silence = answer.status == 200 && answer.body.is_empty();
                let was_silence = std::mem::replace(&mut self.is_met_with_silence, is_silence);
                let is_nobody = answer.status == 204 || (is_silence && was_silence);
                if is_nobody || answer.status == 200 && body["data"].is_array() {
                    self.unanswered = None;
                    let brings = body["data"].as_array().is_some_and(|data| !data.is_empty());
                    self.has_brought |= is_of_everybody && brings;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn at_restart(&mut self, world: &mut World, ended: &Ended<'_>) -> Verdict {
        let (till, lists) = (world.active, std::mem::take(&mut self.lists));
        let has_brought = std::mem::take(&mut self.has_brought);
        if let (Job::Push, Some(list)) = (ended.job, lists.first()) {
            return Err(format!("till {till}: a push asks for a list: {list}"));
        }
        let of_everybody: Vec<&String> = lists.iter().filter(|query| is_of_everybody(query)).collect();
        let (Some(first), Some(last)) = (of_everybody.first(), of_everybody.last()) else { return Ok(()) };
        let is_begun_anew = self.cut.contains(&till) && !is_behind(first);
        // A list came to its end, whole or not, if its last page did: what failed came after it. A dead process may have noted less than it asked for.
        // One that only found its way around somebody who cannot be listed has brought nothing yet.
        let has_a_place = has_brought || self.cut.contains(&till);
        if is_behind(last) && has_a_place && self.unanswered.is_some() && ended.error.is_some() {
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

fn is_of_everybody(query: &str) -> bool {
    !query.contains("date_modified")
}

/// Whether a list is asked for from somewhere behind its start.
fn is_behind(query: &str) -> bool {
    query.contains("&after=") || query.contains("&page=")
}
