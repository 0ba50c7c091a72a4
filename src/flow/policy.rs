//! Who decides when both sides changed a field and nothing can be brought together.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::Moment;
use crate::resource::{Attributes, CustomerId, FieldId, Row, Value};

/// What is done with a field that both sides changed. The reason for the default is in `docs/decisions/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// Only that field waits for a person; the customer's others go on.
    #[default]
    Hold,
    /// The till's value is sent.
    Local,
    /// The store's value is kept.
    Remote,
    /// Whichever was made later, by the server's clock.
    Latest,
    /// The app's own [`Resolver`] decides.
    Resolver,
}

impl Policy {
    /// The word in the conflict table.
    pub fn as_str(self) -> &'static str {
        match self {
            Policy::Hold => "hold",
            Policy::Local => "local",
            Policy::Remote => "remote",
            Policy::Latest => "latest",
            Policy::Resolver => "resolver",
        }
    }
}

/// A field that both sides changed, as a [`Resolver`] sees it.
pub struct Contest<'a> {
    /// The customer.
    pub customer_id: CustomerId,
    /// The attribute.
    pub field: FieldId,
    /// The one form field, when `field` is `form_fields`.
    pub form_field: Option<&'a str>,
    /// What both started from.
    pub base: &'a Value,
    /// The till's value.
    pub local: &'a Value,
    /// The store's value.
    pub remote: &'a Value,
    /// The whole working copy.
    pub row: &'a Row,
    /// The whole customer as the store has it.
    pub record: &'a Attributes<'a>,
}

/// What is to be done with a contested field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A person decides.
    Hold,
    /// The till's value is sent.
    Local,
    /// The store's value is kept.
    Remote,
    /// This value is sent. For one form field: the whole `form_fields` value's entry of that name is taken.
    Value(Value),
}

impl Decision {
    /// The word in the conflict table; none when a person is asked.
    pub(super) fn resolution(&self) -> Option<&'static str> {
        match self {
            Decision::Hold => None,
            Decision::Local => Some("local"),
            Decision::Remote => Some("remote"),
            Decision::Value(_) => Some("value"),
        }
    }
}

/// The app's own way to decide.
pub trait Resolver: Send + Sync {
    /// Decides one field. Must not block: it is called while a transaction is being planned.
    fn resolve(&self, contest: &Contest<'_>) -> Decision;
}

/// The policies in force.
#[derive(Clone, Default)]
pub struct Policies {
    /// For every field that has none of its own. Default: [`Policy::Hold`].
    pub default: Policy,
    /// For single fields.
    pub fields: BTreeMap<FieldId, Policy>,
    /// Asked where the policy is [`Policy::Resolver`].
    pub resolver: Option<Arc<dyn Resolver>>,
    /// The server's clock less the till's, for [`Policy::Latest`].
    pub clock_offset: TimeDelta,
}

impl Policies {
    /// One policy for every field.
    pub fn all(policy: Policy) -> Policies {
        Policies { default: policy, ..Policies::default() }
    }

    /// The policy of a field.
    pub fn of(&self, field: FieldId) -> Policy {
        self.fields.get(&field).copied().unwrap_or(self.default)
    }

    /// Now, by the till's clock and by the server's.
    pub fn moment(&self, here: DateTime<Utc>) -> Moment {
        Moment::new(here, self.clock_offset)
    }

    /// Decides a contested field; `edited_at` is by the till's clock, `modified_at` by the server's.
    pub(super) fn decide(
        &self,
        contest: &Contest<'_>,
        edited_at: Option<DateTime<Utc>>,
        modified_at: Option<DateTime<Utc>>,
    ) -> Decision {
        match self.of(contest.field) {
            Policy::Hold => Decision::Hold,
            Policy::Local => Decision::Local,
            Policy::Remote => Decision::Remote,
            Policy::Latest => match (edited_at, modified_at) {
                (Some(edited), Some(modified)) if edited + self.clock_offset > modified => Decision::Local,
                (Some(_), Some(_)) => Decision::Remote,
                _ => Decision::Hold,
            },
            Policy::Resolver => self.resolver.as_ref().map_or(Decision::Hold, |own| own.resolve(contest)),
        }
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policies")
            .field("default", &self.default)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}
