//! `PUT /customers`: read the call, check every customer in it, decide what lands, apply that, answer.

use rust_decimal::Decimal;
use serde_json::value::RawValue;

use super::behaviours::{
    Behaviours, ErrorKeys, FormFieldWrites, Partial, ResponseAttributes, Success, UnknownIds,
};
use super::book::Book;
use super::data::{date_text, form_field};
use super::face::{self, Face};
use super::faults::Fault;
use super::http::{Problem, RawResponse, quoted};
use super::log::Stats;
use super::options::SandboxOptions;
use super::record::{Members, Record};
use super::rules::{self, Change, Refusal};

/// The most customers that one call may name, whatever this store is set to.
const DOCUMENTED_MAX_CUSTOMERS: usize = 10;
/// What an answer to an update does not hold unless the store is generous.
const PARTS: [&str; 2] = ["store_credit_amounts", "form_fields"];

/// One customer of a call, checked.
pub(super) struct Item {
    pub(super) id: i32,
    changes: Vec<(String, Change)>,
    mistakes: Vec<Mistake>,
    sent_authentication: Option<String>,
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
    /// Customers as the answer tells them, where that is not as they are.
    pub told: Vec<(i32, Option<Record>)>,
    /// Who is told as it was earlier, too, and whether that comes first.
    pub twice: Option<(i32, bool)>,
}

impl Update<'_> {
    /// Serves one call.
    pub fn serve(mut self, body: &[u8], fault: Option<Fault>) -> Result<RawResponse, Problem> {
        let mut items = self.read(body)?;
        self.check_emails(&mut items, |_| "email is already in use by another customer".into());
        let skipped = self.skipped(&items, fault);
        let landing = landing(&items, self.behaviours().partial, fault);
        let landed: Vec<&Item> =
            landing.into_iter().map(|nth| &items[nth]).filter(|item| !skipped.contains(&item.id)).collect();
        if fault == Some(Fault::StaleAnswer) {
            self.told = landed.iter().map(|item| (item.id, self.record(item.id))).collect();
        }
        match fault {
            Some(Fault::Ignored) => {}
            Some(Fault::Echoed) => {
                self.told = landed.iter().map(|item| (item.id, self.as_if_applied(item))).collect();
            }
            _ => landed.iter().for_each(|item| self.apply(item)),
        }
        if fault == Some(Fault::ThirdValue) {
            landed.iter().for_each(|item| self.meddle(item));
        }
        if fault == Some(Fault::ToldTwice) {
            let earlier = landed.iter().map(|item| item.id).find(|id| self.book.earlier(*id).is_some());
            self.twice = earlier.map(|id| (id, self.rng.bool()));
        }
        let problem = problem(&items, self.behaviours().error_keys, "customer_update");
        let is_multi_status = problem.is_none() && self.behaviours().success == Success::MultiStatus;
        if is_multi_status || fault == Some(Fault::MultiStatus) {
            return Ok(self.multi_status(&landed, problem));
        }
        match problem {
            Some(problem) => Err(problem),
            None => Ok(self.answer(&landed, fault)),
        }
    }

    pub(super) fn behaviours(&self) -> Behaviours {
        self.options.behaviours
    }

    fn read(&self, body: &[u8]) -> Result<Vec<Item>, Problem> {
        let limit = self.behaviours().max_update_bytes as usize;
        if limit > 0 && body.len() > limit {
            return Err(Problem::plain(413, format!("the body has {} bytes, {limit} are taken", body.len())));
        }
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

    pub(super) fn check_length(&self, length: usize) -> Result<(), Problem> {
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
        let overload = self.behaviours().overload;
        if overload.above > 0 && length > overload.above as usize {
            let status = if overload.status == 0 { 504 } else { overload.status };
            return Err(Problem::plain(status, "the update took too long"));
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
        let mut item = Item::of(id);
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
            if name == "authentication" {
                item.sent_authentication = Some(value.get().to_owned());
            }
        }
        Ok(item)
    }

    /// An address may belong to nobody else, in the store as it is and in the call.
    pub(super) fn check_emails(&self, items: &mut [Item], refusal: impl Fn(&str) -> String) {
        for nth in 0..items.len() {
            let Some(email) = items[nth].email() else { continue };
            let holder = self.book.holder_of(&email).filter(|holder| *holder != items[nth].id);
            let twice = items[..nth].iter().filter_map(Item::email).any(|other| other == email);
            if holder.is_some() || twice {
                items[nth].mistake("email", refusal(&email), false);
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
    pub(super) fn apply(&mut self, item: &Item) {
        let Some(mut record) = self.record(item.id) else { return };
        let mut changed = Vec::new();
        for (name, change) in &item.changes {
            if self.change(&mut record, item.id, name, change) {
                changed.push(name.as_str());
            }
        }
        if changed.is_empty() {
            self.stats.customers_unchanged += 1;
        } else {
            self.stats.customers_changed += 1;
            self.store(item.id, record, &changed);
        }
    }

    /// What a customer would be, if this was written.
    fn as_if_applied(&mut self, item: &Item) -> Option<Record> {
        let mut record = self.record(item.id)?;
        for (name, change) in item.changes.iter().filter(|(name, _)| name != "authentication") {
            self.change(&mut record, item.id, name, change);
        }
        record.set("date_modified", &quoted(&date_text(self.now)));
        Some(record)
    }

    fn record(&self, id: i32) -> Option<Record> {
        self.book.record(id).map(std::borrow::Cow::into_owned)
    }

    /// Stores a customer of which these attributes have changed.
    fn store(&mut self, id: i32, record: Record, changed: &[&str]) {
        let is_undated = changed.iter().all(|name| self.behaviours().undated.holds(name));
        let before = self.book.modified(id).filter(|_| is_undated);
        self.book.store(id, record, before.unwrap_or(self.now));
    }

    /// Somebody changes what has just landed: the first text or balance among it.
    pub(super) fn meddle(&mut self, item: &Item) {
        let Some(mut record) = self.record(item.id) else { return };
        for (name, change) in &item.changes {
            let Some(other) = another(name, change) else { continue };
            record.set(name, &other);
            return self.store(item.id, record, &[name]);
        }
    }

    fn change(&mut self, record: &mut Record, id: i32, name: &str, change: &Change) -> bool {
        match change {
            Change::Set(json) => record.set(name, json),
            Change::Email(email) => record.set(name, &quoted(email)),
            Change::FormFields(fields) => {
                record.set(name, &form_fields(record, id, fields, self.behaviours()))
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

    pub(super) fn answer(&mut self, landed: &[&Item], fault: Option<Fault>) -> RawResponse {
        let missing = match fault {
            Some(Fault::MissingIds) => self.some_ids(landed.iter().copied()),
            _ => Vec::new(),
        };
        let told = landed.iter().filter(|item| !missing.contains(&item.id));
        RawResponse::json(200, format!(r#"{{"data":[{}],"meta":{{}}}}"#, self.data(told.copied())))
    }

    pub(super) fn multi_status(&self, landed: &[&Item], problem: Option<Problem>) -> RawResponse {
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
            let told = self.told.iter().find(|(id, _)| *id == item.id).map(|(_, record)| record.clone());
            let Some(mut record) = told.unwrap_or_else(|| self.record(item.id)) else { continue };
            if self.behaviours().echoes_authentication {
                item.authentication().map(|sent| record.set("authentication", sent));
            }
            let twice = self.twice.filter(|(of, _)| *of == item.id);
            let twice = twice.zip(self.book.earlier(item.id));
            let mut told = vec![&record];
            if let Some(((_, is_first), earlier)) = twice {
                told.insert(usize::from(!is_first), earlier);
            }
            for record in told {
                out.push_str(if out.is_empty() { "" } else { "," });
                self.write(item, record, &mut out);
            }
        }
        out
    }

    fn write(&self, item: &Item, record: &Record, out: &mut String) {
        let face = Face::of_update(self.behaviours());
        match self.behaviours().response {
            ResponseAttributes::Usual => face.write(record, out),
            ResponseAttributes::Everything => face.write_only(record, out, |_| true),
            ResponseAttributes::Minimal => {
                face.write_only(record, out, |name| name == "id" || item.tells(name))
            }
            ResponseAttributes::OnlyIds => face.write_only(record, out, |name| name == "id"),
            ResponseAttributes::EmptyParts => {
                let is_told = |name: &str| !PARTS.contains(&name) || item.sets(name);
                face.write_only(record, out, is_told);
                PARTS.iter().filter(|part| !item.sets(part)).for_each(|part| face::push_empty(part, out));
            }
        }
    }
}

impl Item {
    /// Nothing of it is known yet.
    pub(super) fn of(id: i32) -> Item {
        Item {
            id,
            changes: Vec::new(),
            mistakes: Vec::new(),
            sent_authentication: None,
            is_passed_over: false,
        }
    }

    pub(super) fn mistake(&mut self, attribute: &str, message: String, is_violation: bool) {
        self.mistakes
            .push(Mistake { attribute: attribute.into(), refusal: Refusal { message, is_violation } });
    }

    pub(super) fn check(&mut self, attribute: &str, json: &str, behaviours: Behaviours) {
        if self.changes.iter().any(|(name, _)| name == attribute) {
            return self.mistake(attribute, format!("{attribute} is given twice"), true);
        }
        match rules::check(attribute, json, behaviours.tidying) {
            Ok(change) => self.changes.push((attribute.to_owned(), change)),
            Err(refusal) => self.mistakes.push(Mistake { attribute: attribute.to_owned(), refusal }),
        }
    }

    pub(super) fn email(&self) -> Option<String> {
        self.changes.iter().find_map(|(_, change)| match change {
            Change::Email(email) => Some(email.to_lowercase()),
            _ => None,
        })
    }

    /// Whether a sparse answer holds an attribute.
    fn tells(&self, name: &str) -> bool {
        !PARTS.contains(&name) && self.sets(name)
    }

    fn sets(&self, name: &str) -> bool {
        self.changes.iter().any(|(changed, _)| changed == name)
    }

    /// `authentication` as it was sent.
    fn authentication(&self) -> Option<&str> {
        self.sent_authentication.as_deref()
    }
}

/// Which items land, by their place in the call.
pub(super) fn landing(items: &[Item], partial: Partial, fault: Option<Fault>) -> Vec<usize> {
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
pub(super) fn problem(items: &[Item], keys: ErrorKeys, general: &str) -> Option<Problem> {
    let mut problem = Problem::plain(422, "The given customer update is not valid.");
    for (index, item) in items.iter().enumerate() {
        for Mistake { attribute, refusal } in &item.mistakes {
            let key = match keys {
                ErrorKeys::Indexed => format!("{index}.{attribute}"),
                ErrorKeys::Named => attribute.clone(),
                ErrorKeys::General => format!(".{general}"),
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

/// What somebody else may make of a value.
fn another(name: &str, change: &Change) -> Option<String> {
    match change {
        Change::Set(json) if name == "store_credit_amounts" => {
            let items: Vec<Members<'_>> = serde_json::from_str(json).ok()?;
            let amount: Decimal = items.first()?.0.first()?.1.get().parse().ok()?;
            Some(format!(r#"[{{"amount":{}}}]"#, amount + Decimal::ONE))
        }
        Change::Set(json) => {
            let text: String = serde_json::from_str(json).ok()?;
            Some(quoted(&text.chars().rev().collect::<String>())).filter(|other| other != json)
        }
        _ => None,
    }
}

/// The form fields after a write, as JSON.
fn form_fields(record: &Record, id: i32, fields: &[(String, String)], behaviours: Behaviours) -> String {
    let mut all = match behaviours.form_fields {
        FormFieldWrites::MergeByName => current_form_fields(record),
        FormFieldWrites::ReplaceAll => Vec::new(),
    };
    for (name, value) in fields {
        match all.iter_mut().find(|(known, _)| known == name) {
            Some((_, current)) => value.clone_into(current),
            None => all.push((name.clone(), value.clone())),
        }
    }
    if behaviours.tidying.order {
        all.sort();
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
