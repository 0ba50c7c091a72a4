//! `POST /customers`: read the call, check every customer in it, make those that land, answer.

use serde_json::value::RawValue;

use super::behaviours::UsedEmails;
use super::data::date_text;
use super::faults::Fault;
use super::http::{Problem, RawResponse};
use super::record::{Members, Record};
use super::update::{Item, Update, landing, problem};

/// What no customer is made without.
const REQUIRED: [&str; 3] = ["email", "first_name", "last_name"];
/// The most characters of an address here; an update takes some more.
const MOST_IN_EMAIL: usize = 250;
/// Whether a mail is sent.
const NOTIFICATION: &str = "trigger_account_created_notification";

impl Update<'_> {
    /// Serves one creation.
    pub fn create(mut self, body: &[u8], fault: Option<Fault>) -> Result<RawResponse, Problem> {
        let mut items = self.read_new(body)?;
        self.check_emails(&mut items, |email| format!("email {email} already in use"));
        let mut landing = landing(&items, self.behaviours().partial, fault);
        if matches!(fault, Some(Fault::Ignored | Fault::Echoed)) {
            landing.clear();
        }
        if fault == Some(Fault::SkippedIds) && landing.len() > 1 {
            landing.pop();
        }
        for nth in &landing {
            self.make(&mut items[*nth]);
        }
        let made: Vec<&Item> = landing.iter().map(|nth| &items[*nth]).collect();
        if fault == Some(Fault::ThirdValue) {
            made.iter().for_each(|item| self.meddle(item));
        }
        let problem = problem(&items, self.behaviours().error_keys, "customer_create");
        let problem = problem.map(|problem| self.untold(problem));
        if fault == Some(Fault::MultiStatus) {
            return Ok(self.multi_status(&made, problem));
        }
        match problem {
            Some(problem) => Err(problem),
            None => {
                let answer = self.answer(&made, fault);
                Ok(RawResponse { status: self.behaviours().created.status(), ..answer })
            }
        }
    }

    fn read_new(&self, body: &[u8]) -> Result<Vec<Item>, Problem> {
        let customers: Vec<&RawValue> = serde_json::from_slice(body)
            .map_err(|_| Problem::violation(422, "the body must be an array of customers"))?;
        self.check_length(customers.len())?;
        customers.iter().enumerate().map(|(index, json)| self.read_one(index, json.get())).collect()
    }

    fn read_one(&self, index: usize, json: &str) -> Result<Item, Problem> {
        let members = serde_json::from_str::<Members<'_>>(json)
            .map_err(|_| Problem::violation(422, format!("element {index} is not an object")))?
            .0;
        let mut item = Item::of(0);
        for (name, value) in &members {
            match name.as_str() {
                NOTIFICATION if ["true", "false"].contains(&value.get()) => {}
                "origin_channel_id" if value.get().parse::<u32>().is_ok() => {}
                name => item.check(name, value.get(), self.behaviours()),
            }
        }
        for name in REQUIRED.into_iter().filter(|name| !members.iter().any(|(given, _)| given == name)) {
            item.mistake(name, format!("{name} is required"), true);
        }
        if item.email().is_some_and(|email| email.chars().count() > MOST_IN_EMAIL) {
            item.mistake("email", format!("email must have at most {MOST_IN_EMAIL} characters"), true);
        }
        Ok(item)
    }

    /// Makes a customer: what was not given is empty.
    fn make(&mut self, item: &mut Item) {
        item.id = self.book.next_id();
        let (id, date) = (item.id, date_text(self.now));
        let blank = Record::parse(&format!(
            r#"{{"id":{id},"email":"","first_name":"","last_name":"","company":"","phone":"","notes":"","tax_exempt_category":"","customer_group_id":0,"date_created":"{date}","date_modified":"{date}","address_count":0,"attribute_count":0,"authentication":{{"force_password_reset":false}},"accepts_product_review_abandoned_cart_emails":false,"origin_channel_id":1,"channel_ids":null,"store_credit_amounts":[{{"amount":0}}],"form_fields":[]}}"#
        ));
        if let Ok(blank) = blank {
            self.book.store(id, blank, self.now);
            self.apply(item);
        }
    }

    /// A store may say no more than that something is wrong.
    fn untold(&self, problem: Problem) -> Problem {
        match self.behaviours().used_emails {
            UsedEmails::Named => problem,
            UsedEmails::Untold => Problem { errors: Vec::new(), ..problem },
        }
    }
}
