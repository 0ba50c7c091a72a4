//! Events for people: a line each, of what somebody may want to know. The rest is for programs.

use tillsync::{EditEvent, Event};

use crate::cli::render;
use crate::cli::sync::{pulled, synced};

/// None: nobody wants to read it.
pub(super) fn of(event: &Event) -> Option<String> {
    let words = match event {
        // What waits for a person was told when it happened, not at each sync.
        Event::SyncFinished(report) => synced(report),
        // Told once, when it began.
        Event::SyncFailed { code: "offline" | "unavailable", .. } => return None,
        Event::SyncFailed { message, .. } => format!("The sync ended early: {}", render::plain(message)),
        Event::PullFinished(report) => pulled(report),
        Event::PullFailed { message, .. } => {
            format!("Asking for everybody ended early, and goes on later: {}", render::plain(message))
        }
        Event::Offline { message } => format!("Edits wait, and are tried again: {}", render::plain(message)),
        Event::EditUploaded(edit) => format!("{} is in the store.", subject(edit)),
        Event::EditRejected { edit, reason } => {
            format!("{} was refused: {}", subject(edit), render::plain(reason))
        }
        Event::EditInConflict(edit) => format!("{} waits for a decision: tillsync conflicts", subject(edit)),
        Event::Online => "The store can be reached again.".to_owned(),
        Event::ThrottledUntil { until } => {
            format!("The store asks to wait until {}.", render::time(Some(*until)))
        }
        Event::LogHeldUp { bytes, since, readers } => render::held_up(*bytes, Some(*since), readers),
        Event::WaitingLong { since, edits } => format!(
            "{} for the store, the oldest since {}: tillsync status",
            match edits {
                1 => "1 edit waits".to_owned(),
                edits => format!("{} wait", render::count(*edits, "edit")),
            },
            render::time(Some(*since))
        ),
        Event::HeldUp { customer_id, cause } => format!(
            "Customer {customer_id} is held up by {}: tillsync doctor",
            cause.as_deref().map_or_else(|| "something of the app's".to_owned(), render::plain)
        ),
        Event::Missed { count } => format!("{} came too fast to be told.", render::count(*count, "event")),
        _ => return None,
    };
    Some(format!("{}  {words}", render::clock(chrono::Utc::now())))
}

fn subject(edit: &EditEvent) -> String {
    format!("{} of customer {}", edit.field, edit.customer_id)
}
