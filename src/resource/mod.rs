//! What a customer is: its attributes, their values, and what an edit may say. No IO.
//!
//! [`FIELDS`] is the one table of attributes; everything else in the crate goes by it and names no attribute
//! without need. [`Record`] is a customer as the server described it, [`Row`] the till's working copy.

mod edit;
mod field;
mod ids;
mod record;
mod row;
mod subject;
mod typed;
mod value;

pub use edit::{Edit, EditError, money, parse_adjustment, parse_argument, parse_object};
pub use field::{Access, FIELDS, Field, FieldId, Kind, MergeRule};
pub(crate) use field::{CHANNEL_IDS, CREDIT_DIGITS, GROUP_IDS};
pub use ids::{BatchId, CustomerId, EditSeq};
pub use record::{Attributes, BadRecord, Record};
pub use row::Row;
pub use subject::Subject;
pub use value::{FormValue, Value, add_credit, first_credit};
pub(crate) use value::{is_plain_money, text_of};
