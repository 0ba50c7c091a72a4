//! Tills of one store that share its quota of calls and its slots for updates, and tell each other how both stand.
//!
//! Without it each till is blind: it finds out by a `429` (docs/scale.md). With it a till is told when it is its turn. It decides
//! nothing about edits: whoever has a turn still looks by id before it writes, and what it says is believed within bounds. A
//! [`Fleet`] that is wrong, slow or gone costs calls or time, never an edit. See docs/fleet.md.

#[cfg(feature = "fleet")]
mod line;
mod named;
#[cfg(feature = "fleet")]
mod redis;
mod standing;

use std::fmt::Debug;

#[cfg(feature = "fleet")]
#[cfg_attr(docsrs, doc(cfg(feature = "fleet")))]
pub use redis::{RedisFleet, RedisOptions};

pub use self::named::FleetOptions;
pub use self::standing::{FleetTill, FleetView, HeldSlot, Standing};
pub use crate::flow::Turn;
use crate::flow::{RateHeaders, Ticket};

/// What a till wants calls for. Edits go before news; who waits for news long enough is served all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// To send edits: looks, updates, and readings back.
    Edits,
    /// To read what others changed.
    News,
}

/// What a till is told that asks for a slot for an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// It has one, until the answer is told, or it is held for too long.
    Held,
    /// Others have them all: it is to ask again then.
    Taken {
        /// In milliseconds.
        for_ms: u64,
    },
    /// There is nobody to ask.
    Alone,
}

/// The other tills of the store, as far as they share its quota and its slots.
///
/// Each method answers soon, whatever happens: half a second is what a till may lose by it.
pub trait Fleet: Debug + Send {
    /// Asks for calls. What was granted before and has not left is given back by it.
    fn turn(&mut self, wants: Wants, calls: u32) -> Turn;

    /// Asks for a slot for this update.
    fn slot(&mut self, update: Ticket) -> Slot;

    /// An answer came, with what the store told of its quota, or a call was lost; of an update the slot is free again.
    fn answered(&mut self, told: &RateHeaders, update: Option<Ticket>);

    /// A sync is over: what was granted and has not left is given back.
    fn done(&mut self);

    /// How it stands with the others, as the last question showed; it asks nobody.
    fn standing(&self) -> Standing {
        Standing::Unknown
    }
}

impl<F: Fleet + ?Sized> Fleet for Box<F> {
    fn turn(&mut self, wants: Wants, calls: u32) -> Turn {
        (**self).turn(wants, calls)
    }

    fn slot(&mut self, update: Ticket) -> Slot {
        (**self).slot(update)
    }

    fn answered(&mut self, told: &RateHeaders, update: Option<Ticket>) {
        (**self).answered(told, update);
    }

    fn done(&mut self) {
        (**self).done();
    }

    fn standing(&self) -> Standing {
        (**self).standing()
    }
}
