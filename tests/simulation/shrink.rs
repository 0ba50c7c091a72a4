//! A failing history made short: what can be left out so that it still fails in the same way is left out.
//!
//! Halves first, then quarters, and so on down to single steps, oddities and chances (delta debugging), several at a time.

use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::run::{Played, play};
use crate::script::{Item, Without};

/// The shortest history that was found.
pub struct Shrunk {
    pub without: Without,
    pub played: Played,
    /// How many histories were played.
    pub tries: usize,
}

/// Shortens the history of a seed for so long.
pub fn shrink(seed: u64, played: Played, patience: Duration) -> Shrunk {
    let until = Instant::now() + patience;
    let kind = kind(&played.outcome);
    let mut shrunk = Shrunk { without: Without::default(), played, tries: 0 };
    let mut parts = 2;
    while Instant::now() < until {
        let items = shrunk.played.items.clone();
        if items.is_empty() {
            break;
        }
        let size = items.len().div_ceil(parts);
        let tries: Vec<Without> =
            items.chunks(size).map(|part| shrunk.without.and(part.iter().cloned())).collect();
        shrunk.tries += tries.len();
        let shorter = tries.into_par_iter().find_map_first(|without| {
            let is_late = Instant::now() > until;
            let played = (!is_late).then(|| play(seed, &without))?;
            (self::kind(&played.outcome) == kind).then_some((without, played))
        });
        match shorter {
            Some((without, played)) => {
                (shrunk.without, shrunk.played) = (without, played);
                parts = parts.saturating_sub(1).max(2);
            }
            None if size == 1 => break,
            None => parts = (parts * 2).min(items.len()),
        }
    }
    shrunk.without = without_what_is_gone(shrunk.without);
    shrunk
}

/// Chances of steps that are left out need not be named.
fn without_what_is_gone(without: Without) -> Without {
    let is_needed = |item: &Item| match item {
        Item::Chance(step, _) => !without.has(&Item::Step(*step)),
        _ => true,
    };
    without.items().filter(|item| is_needed(item)).cloned().collect()
}

/// A failure without its names and numbers: which promise it is.
fn kind(outcome: &Result<(), String>) -> Option<String> {
    let problem = outcome.as_ref().err()?;
    let words = problem.split(|c: char| !c.is_ascii_alphabetic() && c != '\'');
    Some(words.filter(|word| word.len() > 3).take(4).collect::<Vec<_>>().join(" "))
}
