//! The store under control from outside, while it runs: cut and healed, with faults, and edited as in its back office.
//!
//! Control is never mixed with the store's API: it has a port of its own on loopback, which answers when the store's does not,
//! and paths of its own, below `/sandbox`. docs/sandbox.md lists them. [`answer`] serves them; [`Control`] asks.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::core::StoreCore;
use super::faults::{Fault, FaultRate};
use super::http::{RawRequest, RawResponse};
use super::record::Members;
use super::rules;
use super::server::{self, Line};
use crate::flow::shown;

/// Between the port of the store and the one where it is controlled.
const APART: u16 = 10_000;

/// Where a store on this port is controlled.
pub(super) fn port(of_store: u16) -> u16 {
    of_store.checked_add(APART).unwrap_or_else(|| of_store - APART)
}

// ---- who answers -------------------------------------------------------------------------------------------------

/// Answers until the runtime ends.
pub(super) async fn serve(line: Arc<Line>, listener: TcpListener) {
    let service = Router::new().fallback(serve_one).with_state(line);
    _ = axum::serve(listener, service).await;
}

async fn serve_one(State(line): State<Arc<Line>>, request: Request) -> Response {
    let Some(request) = server::read(request).await else {
        return server::encode(refused(400, "the body cannot be read"), false);
    };
    // It may wait: for a line that is being cut, for a file that is being written.
    let answered = tokio::task::spawn_blocking(move || answer(&line, &request)).await;
    server::encode(answered.unwrap_or_else(|_| refused(500, "the sandbox failed")), false)
}

/// One request for control.
fn answer(line: &Line, request: &RawRequest) -> RawResponse {
    if request.header("Origin").is_some() {
        return refused(403, "a page in a browser controls no sandbox");
    }
    let body = String::from_utf8_lossy(&request.body);
    let steps: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    let ["sandbox", steps @ ..] = steps.as_slice() else { return not_here(line, &request.path) };
    let done = match (request.method.as_str(), steps) {
        ("GET", []) => Ok(standing(line)),
        ("POST", ["cut"]) => {
            line.cut();
            Ok(standing(line))
        }
        ("POST", ["heal"]) => {
            line.heal().map(|()| standing(line)).map_err(|error| refused(409, &error.to_string()))
        }
        ("POST", ["faults"]) => faults(line, &body),
        ("DELETE", ["faults"]) => {
            line.shared.with_core(StoreCore::clear_faults);
            Ok(standing(line))
        }
        ("POST", ["customers"]) => add(line, &body),
        (_, ["customers", id]) => of_customer(line, id, |id| customer(line, &request.method, id, &body)),
        ("POST", ["customers", id, "credit"]) => of_customer(line, id, |id| credit(line, id, &body)),
        ("PUT", ["attributes", id]) => define(line, id, &body),
        (_, ["customers", id, "attributes", attribute]) => {
            of_customer(line, id, |id| attribute_value(line, &request.method, (id, attribute), &body))
        }
        _ => return not_here(line, &request.path),
    };
    done.map_or_else(|refused| refused, |json| RawResponse::json(200, json))
}

/// JSON, or a refusal.
type Said = Result<String, RawResponse>;

fn refused(status: u16, message: &str) -> RawResponse {
    RawResponse::json(status, json!({ "error": { "message": message } }).to_string())
}

fn not_here(line: &Line, path: &str) -> RawResponse {
    let store = line.address;
    refused(
        404,
        &format!("{path}: not here, where the sandbox is controlled; the store is at http://{store}"),
    )
}

/// How the sandbox stands.
fn standing(line: &Line) -> String {
    let (keeper, is_cut) = (line.shared.keeper(), line.is_cut());
    line.shared.with_core(|core| {
        let rate = |each: &FaultRate| (each.fault.to_string(), json!(each.rate));
        let rates: serde_json::Map<_, _> = core.options().faults.rates().iter().map(rate).collect();
        let named = |of_updates: bool| {
            let of_those = core.scripted().filter(move |(_, is_of_updates)| *is_of_updates == of_updates);
            of_those.map(|(fault, _)| fault.to_string()).collect::<Vec<_>>()
        };
        let stats = core.stats();
        json!({
            "url": format!("http://{}", line.address),
            "store_hash": core.options().store_hash,
            "is_cut": is_cut,
            "customers": core.customer_count(),
            "faults": { "rates": rates, "next": named(false), "next_updates": named(true) },
            "requests": { "get": stats.get, "put": stats.put, "other": stats.other },
            "violations": core.violations(),
            "state": keeper.map(|keeper| std::path::absolute(keeper.path()).unwrap_or_default()),
            "state_problem": keeper.and_then(|keeper| keeper.problem()),
        })
        .to_string()
    })
}

/// What is to go wrong: once each, with the next requests or updates, or at a rate from now on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    next: Vec<String>,
    #[serde(default)]
    next_updates: Vec<String>,
    #[serde(default)]
    rates: std::collections::BTreeMap<String, f64>,
}

fn faults(line: &Line, body: &str) -> Said {
    let wanted: Wanted = serde_json::from_str(body).map_err(|error| refused(400, &error.to_string()))?;
    let named = |names: &[String]| -> Result<Vec<Fault>, RawResponse> {
        names.iter().map(|name| name.parse().map_err(|error| refused(400, &format!("{error}")))).collect()
    };
    let (next, next_updates) = (named(&wanted.next)?, named(&wanted.next_updates)?);
    let rates = wanted.rates.iter().map(|(name, rate)| format!("{name}={rate}").parse());
    let rates: Vec<FaultRate> = rates
        .collect::<Result<_, _>>()
        .map_err(|error: super::FaultError| refused(400, &error.to_string()))?;
    line.shared.with_core(|core| {
        core.script(next);
        core.script_updates(next_updates);
        rates.into_iter().for_each(|rate| core.set_fault(rate));
    });
    Ok(standing(line))
}

/// The back office of a store has a form, which takes no value of another type, and has no place for an attribute that there is not.
fn refuse_unheld(line: &Line, body: &str) -> Result<(), RawResponse> {
    let holds_anything = line.shared.with_core(|core| core.options().behaviours.holds_anything);
    let Ok(Members(members)) = serde_json::from_str(body) else { return Ok(()) };
    let mut checked = members.iter().map(|(name, value)| rules::check_held(name, value.get()));
    match checked.find_map(Result::err).filter(|_| !holds_anything) {
        None => Ok(()),
        Some(refusal) => {
            Err(refused(400, &format!("{}; see --behaviour holds-anything=yes", refusal.message)))
        }
    }
}

fn add(line: &Line, body: &str) -> Said {
    refuse_unheld(line, body)?;
    let added = line.shared.with_core(|core| {
        let id = core.add_text(chrono::Utc::now(), body)?;
        Ok(core.customer_text(id).unwrap_or_default())
    });
    added.map_err(|error: serde_json::Error| refused(400, &format!("the body: {error}")))
}

/// What is done with a customer that there is.
fn of_customer(line: &Line, id: &str, act: impl FnOnce(i32) -> Said) -> Said {
    let there = |id: &i32| line.shared.with_core(|core| core.customer_text(*id)).is_some();
    match id.parse().ok().filter(there) {
        Some(id) => act(id),
        None => Err(refused(404, &format!("the store has no customer {id}"))),
    }
}

fn customer(line: &Line, method: &str, id: i32, body: &str) -> Said {
    if method == "PATCH" {
        refuse_unheld(line, body)?;
    }
    let now = chrono::Utc::now();
    line.shared.with_core(|core| {
        let was = core.customer_text(id).unwrap_or_default();
        match method {
            "GET" => Ok(was),
            "PATCH" => match core.edit_text(now, id, body) {
                Ok(_) => Ok(core.customer_text(id).unwrap_or_default()),
                Err(error) => Err(refused(400, &format!("the body: {error}"))),
            },
            "DELETE" => {
                core.delete(id);
                Ok(was)
            }
            method => {
                Err(refused(405, &format!("{method} is not for a customer; GET, PATCH and DELETE are")))
            }
        }
    })
}

fn credit(line: &Line, id: i32, body: &str) -> Said {
    #[derive(Deserialize)]
    struct Amount {
        amount: String,
    }
    let amount = serde_json::from_str(body).ok().and_then(|Amount { amount }| amount.parse::<Decimal>().ok());
    let amount =
        amount.ok_or_else(|| refused(400, r#"the body is {"amount":"-12.50"}, with a decimal as text"#))?;
    let now = chrono::Utc::now();
    let adjusted = line
        .shared
        .with_core(|core| core.adjust_credit(now, id, amount).and_then(|_| core.customer_text(id)));
    adjusted.ok_or_else(|| refused(409, &format!("customer {id} has no store credit that could be added to")))
}

/// The shop defines an attribute of its customers.
fn define(line: &Line, id: &str, body: &str) -> Said {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Defined {
        name: String,
        #[serde(rename = "type")]
        kind: String,
    }
    let wrong =
        || refused(400, r#"the body is {"name":"shoe size","type":"number"}: string, number or date"#);
    let Defined { name, kind } = serde_json::from_str(body).map_err(|_| wrong())?;
    let id: i32 = id.parse().map_err(|_| refused(404, &format!("{id} is no number")))?;
    if !["string", "number", "date"].contains(&kind.as_str()) {
        return Err(wrong());
    }
    line.shared.with_core(|core| core.define_attribute(id, &name, &kind));
    Ok(json!({ "id": id, "name": name, "type": kind }).to_string())
}

/// What a customer has of one, as the back office sets, shows or deletes it.
fn attribute_value(line: &Line, method: &str, (id, attribute): (i32, &str), body: &str) -> Said {
    #[derive(Deserialize)]
    struct Text {
        value: String,
    }
    let attribute: i32 = attribute.parse().map_err(|_| refused(404, &format!("{attribute} is no number")))?;
    let now = chrono::Utc::now();
    line.shared.with_core(|core| {
        match method {
            "GET" => {}
            "PUT" => match serde_json::from_str(body) {
                Ok(Text { value }) => core.put_attribute_value(now, id, attribute, &value),
                Err(_) => return Err(refused(400, r#"the body is {"value":"42"}"#)),
            },
            "DELETE" => core.delete_attribute_value(id, attribute),
            method => {
                return Err(refused(405, &format!("{method} is not for a value; GET, PUT and DELETE are")));
            }
        }
        let value = core.attribute_value(id, attribute);
        Ok(json!({ "customer_id": id, "attribute_id": attribute, "value": value }).to_string())
    })
}

// ---- who asks ----------------------------------------------------------------------------------------------------

/// A sandbox in another process, under control.
///
/// ```
/// use tillsync::sandbox::{Control, Sandbox, SandboxOptions};
///
/// let sandbox = Sandbox::start(SandboxOptions { control: true, ..SandboxOptions::default() })?;
/// let control = Control::of(&sandbox.url())?;
/// let edited = control.ask("PATCH", "/customers/1", Some(r#"{"phone":"555-0199"}"#))?;
/// assert!(edited.contains("555-0199"));
/// control.ask("POST", "/cut", None)?; // nobody reaches the store any more
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Control {
    url: String,
    agent: ureq::Agent,
}

/// Why a sandbox did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// What stands for the API is no sandbox on this machine.
    #[error("{0} is no sandbox on this machine: it is http://127.0.0.1 and a port")]
    NotASandbox(String),
    /// Nobody answers.
    #[error("no sandbox answers at {url}: {why}")]
    NotThere {
        /// Where it was looked for.
        url: String,
        /// What happened.
        why: String,
    },
    /// It says no.
    #[error("{0}")]
    Refused(String),
}

impl Control {
    /// The control of the sandbox whose store is at this URL, such as `http://127.0.0.1:4010`. Nothing is asked yet.
    ///
    /// # Errors
    /// When the URL is not one of plain HTTP on loopback with a port.
    pub fn of(api_url: &str) -> Result<Control, ControlError> {
        let port = port_on_loopback(api_url)
            .ok_or_else(|| ControlError::NotASandbox(shown(api_url).into_owned()))?;
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
        let agent = config.timeout_global(Some(Duration::from_secs(10))).build().into();
        Ok(Control { url: format!("http://127.0.0.1:{}", self::port(port)), agent })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks: a method, a path below `/sandbox`, and a JSON object where one is wanted. The answer is JSON.
    ///
    /// # Errors
    /// When nobody answers, or the sandbox refuses.
    pub fn ask(&self, method: &str, path: &str, body: Option<&str>) -> Result<String, ControlError> {
        let not_there = |why: String| ControlError::NotThere { url: self.url.clone(), why };
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}/sandbox{path}", self.url))
            .header("Content-Type", "application/json")
            .body(body.unwrap_or_default().to_owned())
            .map_err(|error| not_there(error.to_string()))?;
        let mut answer = self.agent.run(request).map_err(|error| not_there(error.to_string()))?;
        let text = answer.body_mut().read_to_string().map_err(|error| not_there(error.to_string()))?;
        if answer.status().is_success() {
            return Ok(text);
        }
        let told: Option<Value> = serde_json::from_str(&text).ok();
        match told.as_ref().and_then(|told| told["error"]["message"].as_str()) {
            Some(message) => Err(ControlError::Refused(message.to_owned())),
            None => Err(not_there(format!("status {}, which is no sandbox's answer", answer.status()))),
        }
    }
}

/// The port in a URL of this machine.
fn port_on_loopback(api_url: &str) -> Option<u16> {
    let rest = api_url.strip_prefix("http://")?;
    let (host, port) = rest.split('/').next()?.rsplit_once(':')?;
    let is_loopback = |host: &str| host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let is_here = host == "localhost" || is_loopback(host.trim_matches(['[', ']']));
    port.parse().ok().filter(|port| is_here && *port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_control_is_another_and_leads_back() {
        for store in 1..=u16::MAX {
            assert_ne!(port(store), store);
            assert!(port(store) > 0);
        }
        assert_eq!((port(4010), port(60_000)), (14_010, 50_000));
    }

    #[test]
    fn only_this_machine_is_controlled() {
        for (url, port) in [
            ("http://127.0.0.1:4010", Some(4010)),
            ("http://localhost:4010/", Some(4010)),
            ("http://[::1]:4010", Some(4010)),
            ("https://api.bigcommerce.com", None),
            ("http://127.0.0.1", None),
            ("http://192.168.1.2:4010", None),
            ("http://127.0.0.1.example.com:80", None),
        ] {
            assert_eq!(port_on_loopback(url), port, "{url}");
        }
    }
}
