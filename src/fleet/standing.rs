//! How a till stands with the others, and what a look at all of them shows.

use serde::Serialize;

/// How it stands with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody was asked yet.
    Unknown,
    /// The last question was answered.
    Together,
    /// It was not: this till goes on alone for some seconds.
    Alone {
        /// In milliseconds.
        for_ms: u64,
    },
}

/// What a look at a fleet shows. The tills have names by chance, and each anew when it is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FleetView {
    /// Calls in a window, as the store told; none: it was not heard of lately.
    pub quota: Option<u64>,
    /// Calls that are left of this window.
    pub left: Option<u64>,
    /// Until it ends, in milliseconds; none: it is over.
    pub ends_in_ms: Option<u64>,
    /// How long a window is.
    pub window_ms: Option<u64>,
    /// Calls that are granted and not answered yet.
    pub granted: u64,
    /// Tills that have asked within ten minutes.
    pub count: u64,
    /// They, up to some hundreds.
    pub tills: Vec<FleetTill>,
    /// Updates that have a slot.
    pub slots: Vec<HeldSlot>,
    /// Updates that wait for one.
    pub waiting_for_slots: u64,
}

/// One of the tills of a fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FleetTill {
    /// Its name.
    pub name: String,
    /// So long ago it has last asked, in milliseconds.
    pub asked_ms_ago: u64,
    /// Calls that are granted to it, and have not been answered.
    pub calls: u64,
    /// For so long they are, in milliseconds.
    pub calls_for_ms: u64,
    /// For so long it has been waiting for its turn; none: it does not wait.
    pub waits_ms: Option<u64>,
}

/// A slot of the store's in which an update is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeldSlot {
    /// The till, and a number of its own for the update.
    pub update: String,
    /// When it is free again at the latest, in milliseconds.
    pub for_ms: u64,
}
