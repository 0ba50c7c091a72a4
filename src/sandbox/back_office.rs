//! What happens to a store past its API: edits at the back office, what a test asks, what it sets.
//!
//! Nothing here is limited or noted; a back office may do what a client may not.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde_json::value::RawValue;

use super::behaviours::Behaviours;
use super::core::{Scope, StoreCore};
use super::data::date_text;
use super::faults::{Fault, FaultRate, Faults};
use super::http::PATH_HALVES;
use super::log::{RequestLog, Stats};
use super::options::SandboxOptions;
use super::record::Record;
use super::replica::Replica;

/// What tests and the back office do with a store, past its API.
impl StoreCore {
    /// The path of the customers in this store.
    pub fn customers_path(&self) -> String {
        format!("{}{}{}", PATH_HALVES.0, self.options.store_hash, PATH_HALVES.1)
    }

    /// The token that may read and update.
    pub fn token(&self) -> &str {
        &self.options.token
    }

    /// How many customers there are.
    pub fn customer_count(&self) -> usize {
        self.book.len()
    }

    /// The ids of all customers, ascending.
    pub fn ids(&self) -> Vec<i32> {
        self.book.ids(..).collect()
    }

    /// A customer with every attribute, as exact JSON text; none when there is no such customer.
    pub fn customer_text(&self, id: i32) -> Option<String> {
        self.book.record(id).map(|record| record.to_json())
    }

    /// Adds a customer in the back office: a JSON object, of which `id`, dates and an address are filled in when
    /// they are missing. Returns its id.
    ///
    /// # Errors
    /// When the text is not a JSON object.
    pub fn add_text(&mut self, now: DateTime<Utc>, json: &str) -> serde_json::Result<i32> {
        let given = Record::parse(json)?;
        let id = given.integer("id").and_then(|id| i32::try_from(id).ok()).unwrap_or(self.book.next_id());
        let written = self.server_clock(now).timestamp();
        let date = date_text(written);
        let mut record = Record::parse(&format!(
            r#"{{"id":{id},"email":"new.customer.{id}@example.com","first_name":"New","last_name":"Customer","company":"","phone":"","notes":"","tax_exempt_category":"","customer_group_id":0,"date_created":"{date}","date_modified":"{date}","address_count":0,"attribute_count":0,"authentication":{{"force_password_reset":false}},"accepts_product_review_abandoned_cart_emails":false,"origin_channel_id":1,"channel_ids":null,"store_credit_amounts":[{{"amount":0}}],"form_fields":[]}}"#
        ))?;
        record.merge(&given);
        self.book.store(id, record, written);
        self.replicate(now);
        Ok(id)
    }

    /// Edits a customer in the back office: the object's attributes replace the customer's, without any limit, and
    /// the date of modification moves, unless that is [`undated`](Behaviours::undated). Says whether there is such a
    /// customer.
    ///
    /// # Errors
    /// When the text is not a JSON object.
    pub fn edit_text(&mut self, now: DateTime<Utc>, id: i32, json: &str) -> serde_json::Result<bool> {
        let given = Record::parse(json)?;
        let Some(mut record) = self.book.record(id).map(std::borrow::Cow::into_owned) else {
            return Ok(false);
        };
        let undated = self.options.behaviours.undated;
        let is_undated = given.names().all(|name| undated.holds(name));
        record.merge(&given);
        record.set("id", &id.to_string());
        let written = self.server_clock(now).timestamp();
        let dated = if is_undated { self.book.modified(id).unwrap_or(written) } else { written };
        self.book.store(id, record, dated);
        self.replicate(now);
        Ok(true)
    }

    /// Adds to a customer's store credit in the back office, or takes from it, without any limit. Says what it is then; none
    /// when there is no such customer, or no sum.
    pub fn adjust_credit(&mut self, now: DateTime<Utc>, id: i32, amount: Decimal) -> Option<Decimal> {
        let balance = credit(&*self.book.record(id)?)?.checked_add(amount)?;
        let amounts = format!(r#"{{"store_credit_amounts":[{{"amount":{balance}}}]}}"#);
        self.edit_text(now, id, &amounts).ok()?.then_some(balance)
    }

    /// Deletes a customer in the back office, and says whether there was one.
    pub fn delete(&mut self, id: i32) -> bool {
        self.addresses.forget(id);
        self.attributes.forget(id);
        self.book.delete(id)
    }

    /// The faults that wait for the next requests, and whether each is for updates only.
    pub fn scripted(&self) -> impl Iterator<Item = (Fault, bool)> {
        self.script.iter().map(|(fault, scope)| (*fault, *scope == Scope::Updates))
    }

    /// Has nothing go wrong any more, by chance or by the script.
    pub fn clear_faults(&mut self) {
        self.script.clear();
        self.options.faults = Faults::none();
    }

    /// Whether the last read lagged behind what was written; see [`Behaviours::lagging`].
    pub fn has_lagged(&self) -> bool {
        self.has_lagged
    }

    /// How often updates have changed a customer's password.
    pub fn password_changes(&self, id: i32) -> u32 {
        self.book.password(id).0
    }

    /// The password that a customer was last given by an update.
    pub fn last_password(&self, id: i32) -> Option<&str> {
        self.book.password(id).1
    }

    /// The latest requests, oldest first.
    pub fn requests(&self) -> impl Iterator<Item = &RequestLog> {
        self.ledger.requests.iter()
    }

    /// Forgets the requests; counts and violations stay.
    pub fn clear_requests(&mut self) {
        self.ledger.requests.clear();
    }

    /// What has been counted.
    pub fn stats(&self) -> Stats {
        self.ledger.stats
    }

    /// What a correct client would never have sent, in words.
    pub fn violations(&self) -> &[String] {
        &self.ledger.violations
    }

    /// The setting the store was started with; the faults as they are now.
    pub fn options(&self) -> &SandboxOptions {
        &self.options
    }

    /// Switches what the public description leaves open, from the next request on.
    pub fn set_behaviours(&mut self, behaviours: Behaviours) {
        self.options.behaviours = behaviours;
        let lags = behaviours.read_lag_ms > 0;
        if lags != self.replica.is_some() {
            self.book.remember_changes(lags);
            self.replica = lags.then(|| Replica::of(&self.book));
        }
    }

    /// Sets the rates at which things go wrong.
    pub fn set_faults(&mut self, faults: Faults) {
        self.options.faults = faults;
    }

    /// Sets the rate of one fault; the others keep theirs.
    pub fn set_fault(&mut self, rate: FaultRate) {
        self.options.faults.set(rate);
    }

    /// Has these faults happen to the next requests, one each; the rates hold again after them.
    pub fn script(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.script.extend(faults.into_iter().map(|fault| (fault, Scope::Any)));
    }

    /// As [`script`](Self::script), for the next updates; lists are not touched.
    pub fn script_updates(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.script.extend(faults.into_iter().map(|fault| (fault, Scope::Updates)));
    }

    /// Sets the server's clock so far ahead of the time that is handed in.
    pub fn set_clock_offset(&mut self, offset: TimeDelta) {
        self.clock_offset = offset;
    }

    /// The server's clock when it is `now` outside.
    pub fn server_clock(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + self.clock_offset
    }
}

/// What a record has of store credit, digit by digit.
fn credit(record: &Record) -> Option<Decimal> {
    #[derive(serde::Deserialize)]
    struct Credit<'a> {
        #[serde(borrow)]
        amount: &'a RawValue,
    }
    let Some(json) = record.get("store_credit_amounts") else { return Some(Decimal::ZERO) };
    let amounts: Vec<Credit<'_>> = serde_json::from_str(json).ok()?;
    let amount = |credit: &Credit<'_>| {
        let text = credit.amount.get();
        text.parse().or_else(|_| Decimal::from_scientific(text)).ok()
    };
    amounts.first().map_or(Some(Decimal::ZERO), amount)
}
