//! What the engine makes of refusals: who is asked to wait a moment waits a moment, and a page of HTML is nobody's word
//! about the token.

use std::collections::BTreeMap;

use tillsync::{Answer, Ticket, Trouble};

use super::{Deed, Invariant, Verdict};
use crate::world::{Ended, World};

/// Longer is no moment: the next update leaves within this, unless something else keeps it: a machine that sleeps, or an answer that
/// takes longer itself.
const A_MOMENT_MS: u64 = 10_000;

#[derive(Default)]
pub struct Patience {
    /// When what is on its way left, and whether it is an update.
    on_their_way: BTreeMap<Ticket, (u64, bool)>,
    /// When an update was refused because of other clients, and nothing else has gone wrong since.
    crowded_ms: Option<u64>,
    /// The store itself has refused the token, its scope or the address.
    is_refused: bool,
}

impl Invariant for Patience {
    fn saw(&mut self, world: &mut World, deed: &Deed<'_>) -> Verdict {
        match deed {
            Deed::Leaves { ticket, body, .. } => {
                let (now_ms, is_update) = (world.awake_ms(), !body.is_empty());
                self.on_their_way.insert(*ticket, (now_ms, is_update));
                if is_update
                    && let Some(crowded_ms) = self.crowded_ms.take()
                    && now_ms > crowded_ms + A_MOMENT_MS
                {
                    let ms = now_ms - crowded_ms;
                    return Err(format!("an update waits {ms} ms for a place that was free in a moment"));
                }
            }
            Deed::Answered { ticket, answer, .. } => {
                let now_ms = world.awake_ms();
                let (left_ms, is_update) = self.on_their_way.remove(ticket).unwrap_or((now_ms, false));
                if now_ms > left_ms + A_MOMENT_MS {
                    self.crowded_ms = None;
                }
                self.heard(now_ms, is_update, answer);
            }
            _ => {}
        }
        Ok(())
    }

    fn at_restart(&mut self, _: &mut World, ended: &Ended<'_>) -> Verdict {
        let was_refused = std::mem::take(&mut self.is_refused);
        self.crowded_ms = None;
        self.on_their_way.clear();
        match ended.error {
            Some(error) if error.is_auth() && !was_refused => {
                Err(format!("a page of HTML is taken for the store's word: {error}"))
            }
            _ => Ok(()),
        }
    }
}

fn has_budget(answer: &Answer) -> bool {
    answer.rate.left.is_some_and(|left| left > 10)
}

impl Patience {
    fn heard(&mut self, now_ms: u64, is_update: bool, answer: &Result<Answer, Trouble>) {
        let is_json = |answer: &Answer| serde_json::from_slice::<serde_json::Value>(&answer.body).is_ok();
        match answer {
            Ok(answer) if answer.status == 429 => {
                self.crowded_ms = (is_update && has_budget(answer)).then_some(now_ms);
            }
            // Others may use up the budget between the refusal and the next try: that is what is waited for then.
            Ok(answer) if answer.status < 300 && has_budget(answer) => {}
            Ok(answer) if answer.status < 300 => self.crowded_ms = None,
            Ok(answer) => {
                self.crowded_ms = None;
                self.is_refused |= [401, 403, 404].contains(&answer.status) && is_json(answer);
            }
            Err(_) => self.crowded_ms = None,
        }
    }
}
