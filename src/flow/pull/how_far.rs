//! Where a list is, what is to be asked for next, and what of it outlives a cut.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::flow::Named;
use crate::resource::{CustomerId, ResourceId};

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Place {
    /// At the start of the list.
    #[default]
    Start,
    /// Behind this cursor.
    After(String),
    /// At this page of as many customers as are asked for, from 1: where the store tells no cursor.
    Number(u64),
}

/// A page to be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PageAsk {
    /// Of what.
    pub resource: ResourceId,
    /// Only customers modified since, by the server's clock; `None`: all.
    pub modified_min: Option<DateTime<Utc>>,
    /// Where it begins.
    pub place: Place,
    /// Customers on it, at most.
    pub limit: usize,
    /// What is to be shown with them.
    pub with: Vec<ResourceId>,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullStep {
    /// Ask for this page.
    Ask(PageAsk),
    /// The list begins anew with this page. What was noted of it is forgotten when the page is there.
    Anew(PageAsk),
    /// It is over: the list was whole, or why it was not.
    Over(Result<(), String>),
}

/// How far a pull of everything has come: what it needs to go on there when it is cut.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HowFar {
    /// Where the next page begins.
    pub place: Place,
    /// Customers on a page, as last asked for.
    pub limit: usize,
    /// Customers in the list, as last told.
    pub total: Option<u64>,
    /// The server's clock when it began, as it told.
    pub began: Option<DateTime<Utc>>,
    /// The newest `date_modified` that was seen.
    pub newest: Option<DateTime<Utc>>,
    /// The cursor that was given up before the list was begun anew, because nothing came of it.
    pub given_up: Option<String>,
    /// Records so far that are no customers.
    pub unread: Named,
    /// Customers so far that the store cannot list.
    pub unlisted: Named,
    /// The last customer that was listed.
    pub last: Option<CustomerId>,
    /// Customers on a page to which pages grow again, and whether they have.
    pub large: Option<usize>,
    pub has_grown: bool,
    /// A place was asked for by its number, since its cursor brought nothing.
    pub has_lost_cursor: bool,
    /// Customers on the last page that was not the last one and had fewer than were asked for, while none has had more since: the store
    /// has a size of its own.
    pub capped: Option<usize>,
}
