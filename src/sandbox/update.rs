//! `PUT /customers`: read the call, check every customer in it, decide what lands, apply that, answer.

use serde_json::value::RawValue;

use super::book::Book;
use super::data::form_field;
use super::faults::Fault;
use super::http::{Problem, RawResponse, quoted};
use super::list::write_usual;
use super::log::Stats;
use super::options::{
    Behaviours, ErrorKeys, FormFieldWrites, Partial, ResponseAttributes, SandboxOptions, UnknownIds,
};
use super::record::{Members, Record};
use super::rules::{self, Change, Refusal};

/// The most customers that one call may name, whatever this store is set to.
const DOCUMENTED_MAX_CUSTOMERS: usize = 10;

/// One customer of a call, checked.
struct Item {
    id: i32,
    changes: Vec<(String, Change)>,
    mistakes: Vec<Mistake>,
    /// There is no such customer, and this store does not mind.
    is_passed_over: bool,
}

/// What is wrong with one attribute.
struct Mistake {
    attribute: String,
    refusal: Refusal,
}

/// What an update may touch and must know.
pub(super) struct Update<'a> {
    pub book: &'a mut Book,
    pub stats: &'a mut Stats,
    pub rng: &'a mut fastrand::Rng,
    pub options: &'a SandboxOptions,
    /// The server's clock, in seconds since 1970.
    pub now: i64,
}

impl Update<'_> {
    /// Serves one call.
    pub fn serve(mut self, body: &[u8], fault: Option<Fault>) -> Result<RawResponse, Problem> {
        let mut items = self.read(body)?;
        self.check_emails(&mut items);
        let skipped = self.skipped(&items, fault);
        let landing = landing(&items, self.behaviours().partial, fault);
        let landed: Vec<&Item> =
            landing.into_iter().map(|nth| &items[nth]).filter(|item| !skipped.contains(&item.id)).collect();
        for item in &landed {
            self.apply(item);
        }
        let problem = problem(&items, self.behaviours().error_keys);
        if fault == Some(Fault::MultiStatus) {
            return Ok(self.multi_status(&landed, problem));
        }
        match problem {
            Some(problem) => Err(problem),
            None => Ok(self.answer(&landed, fault)),
        }
    }

    fn behaviours(&self) -> Behaviours {
        self.options.behaviours
    }

    fn read(&self, body: &[u8]) -> Result<Vec<Item>, Problem> {
        let array: &RawValue = serde_json::from_slice(body)
            .map_err(|error| Problem::violation(400, format!("the body is not JSON: {error}")))?;
        let customers: Vec<&RawValue> = serde_json::from_str(array.get())
            .map_err(|_| Problem::violation(422, "the body must be an array of customers"))?;
        self.check_length(customers.len())?;
        let mut items: Vec<Item> = Vec::new();
        for (index, customer) in customers.iter().enumerate() {
            let item = self.read_item(index, customer.get())?;
            if items.iter().any(|other| other.id == item.id) {
                return Err(Problem::violation(422, format!("customer {} is in the call twice", item.id)));
            }
            items.push(item);
        }
        Ok(items)
    }

    fn check_length(&self, length: usize) -> Result<(), Problem> {
        if length == 0 {
            return Err(Problem::violation(422, "the array of customers is empty"));
        }
        let title = format!("the array holds {length} customers, which is too many");
        if length > DOCUMENTED_MAX_CUSTOMERS {
            return Err(Problem::violation(413, title));
        }
        if length > self.options.max_customers_per_update {
            return Err(Problem::plain(413, title));
        }
        Ok(())
    }

    /// Reads and checks one customer by itself.
    fn read_item(&self, index: usize, json: &str) -> Result<Item, Problem> {
        let members = serde_json::from_str::<Members<'_>>(json)
            .map_err(|_| Problem::violation(422, format!("element {index} is not an object")))?
            .0;
        let id = members.iter().find(|(name, _)| name == "id").map_or("nothing", |(_, value)| value.get());
        let id = rules::id(id).map_err(|refusal| Problem {
            errors: vec![(format!("{index}.id"), refusal.message.clone())],
            ..Problem::violation(422, format!("element {index}: {}", refusal.message))
        })?;
        let mut item = Item { id, changes: Vec::new(), mistakes: Vec::new(), is_passed_over: false };
        if members.len() == 1 {
            item.mistake("id", format!("empty update: customer {id} comes with nothing to change"), true);
        }
        if !self.book.contains(id) {
            match self.behaviours().unknown_ids {
                UnknownIds::Refuse => item.mistake("id", format!("there is no customer {id}"), false),
                UnknownIds::LeaveOut => item.is_passed_over = true,
            }
        }
        for (name, value) in members.iter().filter(|(name, _)| name != "id") {
            item.check(name, value.get(), self.behaviours());
        }
        Ok(item)
    }

    /// An address may belong to nobody else, in the store as it is and in the call.
    fn check_emails(&self, items: &mut [Item]) {
        for nth in 0..items.len() {
            let Some(email) = items[nth].email() else { continue };
            let holder = self.book.holder_of(&email).filter(|holder| *holder != items[nth].id);
            let twice = items[..nth].iter().filter_map(Item::email).any(|other| other == email);
            if holder.is_some() || twice {
                items[nth].mistake("email", "email is already in use by another customer".into(), false);
            }
        }
    }

    /// Which customers a faulty store passes over.
    fn skipped(&mut self, items: &[Item], fault: Option<Fault>) -> Vec<i32> {
        if fault == Some(Fault::SkippedIds) { self.some_ids(items.iter()) } else { Vec::new() }
    }

    /// Some of the ids, at least one of them, by chance.
    fn some_ids<'a>(&mut self, items: impl Iterator<Item = &'a Item>) -> Vec<i32> {
        let all: Vec<i32> = items.map(|item| item.id).collect();
        let always = self.rng.choice(&all).copied();
        all.iter().copied().filter(|id| Some(*id) == always || self.rng.bool()).collect()
    }

    /// Writes one customer, unless it already is as asked for.
    fn apply(&mut self, item: &Item) {
        let Some(mut record) = self.book.record(item.id).map(std::borrow::Cow::into_owned) else { return };
        let mut changed = false;
        for (name, change) in &item.changes {
            changed |= self.change(&mut record, item.id, name, change);
        }
        if changed {
            self.stats.customers_changed += 1;
            self.book.store(item.id, record, self.now);
        } else {
            self.stats.customers_unchanged += 1;
        }
    }

    fn change(&mut self, record: &mut Record, id: i32, name: &str, change: &Change) -> bool {
        match change {
            Change::Set(json) => record.set(name, json),
            Change::Email(email) => record.set(name, &quoted(email)),
            Change::FormFields(fields) => {
                record.set(name, &form_fields(record, id, fields, self.behaviours().form_fields))
            }
            Change::Authentication { force_password_reset, new_password } => {
                if let Some(password) = new_password {
                    self.book.set_password(id, password.clone());
                }
                let reset = force_password_reset
                    .is_some_and(|reset| record.set(name, &format!(r#"{{"force_password_reset":{reset}}}"#)));
                reset || new_password.is_some()
            }
        }
    }

    fn answer(&mut self, landed: &[&Item], fault: Option<Fault>) -> RawResponse {
        let missing = match fault {
            Some(Fault::MissingIds) => self.some_ids(landed.iter().copied()),
            _ => Vec::new(),
        };
        let told = landed.iter().filter(|item| !missing.contains(&item.id));
        RawResponse::json(200, format!(r#"{{"data":[{}],"meta":{{}}}}"#, self.data(told.copied())))
    }

    fn multi_status(&self, landed: &[&Item], problem: Option<Problem>) -> RawResponse {
        let errors = problem.map(|problem| problem.errors).unwrap_or_default();
        let errors: Vec<String> =
            errors.iter().map(|(key, message)| format!("{}:{}", quoted(key), quoted(message))).collect();
        let data = self.data(landed.iter().copied());
        RawResponse::json(
            207,
            format!(r#"{{"data":[{data}],"errors":{{{}}},"meta":{{}}}}"#, errors.join(",")),
        )
    }

    fn data<'a>(&self, items: impl Iterator<Item = &'a Item>) -> String {
        let mut out = String::new();
        for item in items.filter(|item| !item.is_passed_over) {
            let Some(record) = self.book.record(item.id) else { continue };
            out.push_str(if out.is_empty() { "" } else { "," });
            match self.behaviours().response {
                ResponseAttributes::Usual => write_usual(&record, &mut out),
                ResponseAttributes::Everything => record.write(&mut out, |_| true),
                ResponseAttributes::Minimal => {
                    record.write(&mut out, |name| name == "id" || item.tells(name))
                }
            }
        }
        out
    }
}

impl Item {
    fn mistake(&mut self, attribute: &str, message: String, is_violation: bool) {
        self.mistakes
            .push(Mistake { attribute: attribute.into(), refusal: Refusal { message, is_violation } });
    }

    fn check(&mut self, attribute: &str, json: &str, behaviours: Behaviours) {
        if self.changes.iter().any(|(name, _)| name == attribute) {
            return self.mistake(attribute, format!("{attribute} is given twice"), true);
        }
        match rules::check(attribute, json, behaviours.normalise) {
            Ok(change) => self.changes.push((attribute.to_owned(), change)),
            Err(refusal) => self.mistakes.push(Mistake { attribute: attribute.to_owned(), refusal }),
        }
    }

    fn email(&self) -> Option<String> {
        self.changes.iter().find_map(|(_, change)| match change {
            Change::Email(email) => Some(email.to_lowercase()),
            _ => None,
        })
    }

    /// Whether the sparest answer holds an attribute.
    fn tells(&self, name: &str) -> bool {
        let on_request = ["store_credit_amounts", "form_fields"].contains(&name);
        !on_request && self.changes.iter().any(|(changed, _)| changed == name)
    }
}

/// Which items land, by their place in the call.
fn landing(items: &[Item], partial: Partial, fault: Option<Fault>) -> Vec<usize> {
    let is_good = |nth: &usize| items[*nth].mistakes.is_empty();
    let all = 0..items.len();
    match partial {
        _ if fault == Some(Fault::MultiStatus) => all.filter(is_good).collect(),
        Partial::Atomic if all.clone().all(|nth| is_good(&nth)) => all.collect(),
        Partial::Atomic => Vec::new(),
        Partial::GoodOnesLand => all.filter(is_good).collect(),
        Partial::UntilFirstError => all.take_while(is_good).collect(),
    }
}

/// What is wrong with a call, if anything is.
fn problem(items: &[Item], keys: ErrorKeys) -> Option<Problem> {
    let mut problem = Problem::plain(422, "The given customer update is not valid.");
    for (index, item) in items.iter().enumerate() {
        for Mistake { attribute, refusal } in &item.mistakes {
            let key = match keys {
                ErrorKeys::Indexed => format!("{index}.{attribute}"),
                ErrorKeys::Named => attribute.clone(),
                ErrorKeys::General => ".customer_update".to_owned(),
            };
            if !problem.errors.iter().any(|(known, _)| *known == key) {
                problem.errors.push((key, refusal.message.clone()));
            }
            if refusal.is_violation {
                problem.violations.push(format!("customer {}: {}", item.id, refusal.message));
            }
        }
    }
    (!problem.errors.is_empty()).then_some(problem)
}

/// The form fields after a write, as JSON.
fn form_fields(record: &Record, id: i32, fields: &[(String, String)], writes: FormFieldWrites) -> String {
    let mut all = match writes {
        FormFieldWrites::MergeByName => current_form_fields(record),
        FormFieldWrites::ReplaceAll => Vec::new(),
    };
    for (name, value) in fields {
        match all.iter_mut().find(|(known, _)| known == name) {
            Some((_, current)) => value.clone_into(current),
            None => all.push((name.clone(), value.clone())),
        }
    }
    let all: Vec<String> = all.iter().map(|(name, value)| form_field(id, &quoted(name), value)).collect();
    format!("[{}]", all.join(","))
}

fn current_form_fields(record: &Record) -> Vec<(String, String)> {
    let fields: Vec<Members<'_>> =
        record.get("form_fields").and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    fields.iter().filter_map(name_and_value).collect()
}

fn name_and_value(field: &Members<'_>) -> Option<(String, String)> {
    let member = |wanted: &str| field.0.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.get());
    Some((serde_json::from_str(member("name")?).ok()?, member("value")?.to_owned()))
}
