//! The attributes of a customer by their API names, each with its type: [`FIELDS`](super::FIELDS) as methods.
//!
//! A line here for a line there; a test sees to it. What is null, or of another type than the API's, is none.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::{FieldId, FormValue, Row, Value};

macro_rules! typed {
    ($($(#[$words:meta])+ $name:ident: $kind:ident;)+) => {
        impl Row {
            $(typed!($(#[$words])+ $name, $kind);)+
        }

        #[cfg(test)]
        const TYPED: &[&str] = &[$(stringify!($name)),+];
    };
    ($(#[$words:meta])+ $name:ident, text) => { typed!($(#[$words])+ $name, text, &str); };
    ($(#[$words:meta])+ $name:ident, integer) => { typed!($(#[$words])+ $name, integer, i64); };
    ($(#[$words:meta])+ $name:ident, boolean) => { typed!($(#[$words])+ $name, boolean, bool); };
    ($(#[$words:meta])+ $name:ident, credit) => { typed!($(#[$words])+ $name, credit, Decimal); };
    ($(#[$words:meta])+ $name:ident, date) => { typed!($(#[$words])+ $name, date, DateTime<Utc>); };
    ($(#[$words:meta])+ $name:ident, channels) => { typed!($(#[$words])+ $name, channels, &BTreeSet<i64>); };
    ($(#[$words:meta])+ $name:ident, forms) => { typed!($(#[$words])+ $name, forms, &BTreeMap<String, FormValue>); };
    ($(#[$words:meta])+ $name:ident, json) => { typed!($(#[$words])+ $name, json, &str); };
    ($(#[$words:meta])+ $name:ident, $as:ident, $type:ty) => {
        $(#[$words])+
        pub fn $name(&self) -> Option<$type> {
            self.named(stringify!($name)).and_then(Value::$as)
        }
    };
}

typed! {
    /// The address that they sign in with.
    email: text;
    /// The first name.
    first_name: text;
    /// The last name.
    last_name: text;
    /// The company.
    company: text;
    /// The phone number, as it was written.
    phone: text;
    /// What the shop notes of them; of any length, in lines.
    notes: text;
    /// The category by which they pay no tax.
    tax_exempt_category: text;
    /// The customer group; 0: none.
    customer_group_id: integer;
    /// Whether they take emails about abandoned carts and reviews.
    accepts_product_review_abandoned_cart_emails: boolean;
    /// Whether they must choose a new password when they sign in next.
    force_password_reset: boolean;
    /// The balance of their store credit, with what edits adjusted; nothing where the store has none.
    store_credit_amounts: credit;
    /// The channels on which they may sign in; none: every channel.
    channel_ids: channels;
    /// The shop's own fields, by their names.
    form_fields: forms;
    /// From where they registered.
    registration_ip_address: text;
    /// The channel on which they registered; it never changes.
    origin_channel_id: integer;
    /// When they were made in the store.
    date_created: date;
    /// When the store last changed them, by its own clock.
    date_modified: date;
    /// How many addresses they have.
    address_count: integer;
    /// How many attributes they have.
    attribute_count: integer;
    /// The addresses, as JSON text; none: they were not asked for.
    addresses: json;
    /// The attributes, as JSON text; none: they were not asked for.
    attributes: json;
    /// The profile that they share with other channels.
    shopper_profile_id: text;
    /// The segments that they are in, as JSON text; none: they were not asked for.
    segment_ids: json;
}

impl Row {
    fn named(&self, name: &str) -> Option<&Value> {
        FieldId::named(name).map(|field| self.get(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attribute_that_is_read_has_its_method() {
        assert_eq!(TYPED, FieldId::columns().map(FieldId::name).collect::<Vec<_>>());
    }
}
