//! What a resource is: its attributes, their values, and what an edit may say. No IO.
//!
//! A resource is a value ([`Resource`]) with one table of attributes, in a file of its own (`customer`); everything else in the
//! crate goes by it and names no attribute. [`Record`] is a row as the server described it, [`Row`] the till's working copy.

mod address;
mod attribute;
mod attribute_value;
mod customer;
mod edit;
mod field;
mod ids;
#[cfg(feature = "proof")]
mod loyalty;
mod record;
mod row;
mod secret;
mod subject;
mod table;
mod typed;
mod value;

pub use address::Address;
pub use customer::FIELDS;
pub use edit::{Edit, EditError, money, parse_adjustment, parse_argument, parse_new, parse_object};
pub use field::{Access, Field, FieldId, Kind, MergeRule};
pub(crate) use field::{CHANNEL_IDS, CREDIT_DIGITS, GROUP_IDS};
#[cfg(test)]
pub(crate) use ids::customer;
pub use ids::{BatchId, CustomerId, EditSeq, RowId};
pub use record::{Attributes, BadRecord, Record};
pub use row::{Row, new_object, object, shown_object};
pub use subject::Subject;
pub use table::{Changes, Creation, Identity, Resource, ResourceId, Shown, Verb};
pub use value::{FormValue, Value, add_credit, first_credit};
pub(crate) use value::{is_plain_money, text_of};
