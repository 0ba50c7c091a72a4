//! The real store: ureq over rustls, keep-alive, gzip, explicit timeouts, and a thread for each call that may be under way
//! at once: three updates, and two reads beside them.

mod connect;
mod options;
mod response;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use ureq::Agent;

#[cfg(any(feature = "ffi", feature = "extension"))]
pub(crate) use self::options::sendable;
pub use self::options::{HttpOptions, HttpProxy, Roots};

use self::connect::agent;
#[cfg(feature = "fleet")]
pub(crate) use self::connect::root_store;
use self::options::{token, url};
use self::response::{read, trouble, without_token};
use super::{Remote, Request};
use crate::error::Result;
use crate::flow::{Answer, MAX_READS, Ticket, Trouble};
use crate::resource::ResourceId;
use crate::threads;

/// Calls at once: three updates and two reads.
const THREADS: usize = ResourceId::most_at_once() + MAX_READS;

/// The store, over HTTP.
#[derive(Debug)]
pub struct HttpRemote {
    store_hash: String,
    jobs: Sender<(Ticket, Request)>,
    answers: Receiver<(Ticket, Result<Answer, Trouble>)>,
    in_flight: usize,
    updates: Arc<Mutex<Updates>>,
}

/// Updates on their way, and what is kept for as long as there are some.
#[derive(Debug, Default)]
struct Updates {
    count: usize,
    kept: Vec<Box<dyn Any + Send>>,
}

/// Asks the store one thing.
type Call = fn(&Caller, &Request) -> Result<Answer, Trouble>;

/// One thread's way to the store; all share the connections.
#[derive(Clone)]
struct Caller {
    agent: Agent,
    url: String,
    token: SecretString,
    updates: Arc<Mutex<Updates>>,
}

impl HttpRemote {
    /// Gets ready to speak to a store; nothing is sent yet.
    ///
    /// # Errors
    /// When the URL is none, or is plain `http` to another machine; when the store hash or the token could not stand in
    /// a request; and when the system gives no threads.
    pub fn new(options: &HttpOptions) -> Result<HttpRemote> {
        HttpRemote::calling(options, Caller::call)
    }

    fn calling(options: &HttpOptions, call: Call) -> Result<HttpRemote> {
        let options = &options.clone().settled()?;
        let updates = Arc::<Mutex<Updates>>::default();
        let (url, token) = (url(options)?, token(options)?);
        let agent = agent(options, &url)?;
        let caller = Caller { agent, url, token, updates: updates.clone() };
        let (jobs, inbox) = mpsc::channel();
        let inbox = Arc::new(Mutex::new(inbox));
        let (outbox, answers) = mpsc::channel();
        for _ in 0..THREADS {
            let (caller, inbox, outbox) = (caller.clone(), inbox.clone(), outbox.clone());
            // Those that were given end with the channel when one is not.
            threads::spawn("tillsync-http", move || caller.serve(call, &inbox, &outbox))?;
        }
        Ok(HttpRemote { store_hash: options.store_hash.clone(), jobs, answers, in_flight: 0, updates })
    }
}

impl Remote for HttpRemote {
    fn store_hash(&self) -> Option<&str> {
        Some(&self.store_hash)
    }

    fn start(&mut self, ticket: Ticket, request: Request) {
        self.in_flight += 1;
        lock(&self.updates).count += usize::from(request.is_update());
        // The threads live as long as this sender does.
        _ = self.jobs.send((ticket, request));
    }

    fn next(&mut self, wait: Option<Duration>) -> Option<(Ticket, Result<Answer, Trouble>)> {
        let answer = match wait {
            Some(wait) => self.answers.recv_timeout(wait).map_err(|e| e == RecvTimeoutError::Timeout).ok(),
            None if self.in_flight == 0 => None,
            None => self.answers.recv().ok(),
        };
        self.in_flight -= usize::from(answer.is_some());
        answer
    }

    fn keep_while_updating(&mut self, kept: Box<dyn Any + Send>) {
        let mut updates = lock(&self.updates);
        if updates.count > 0 {
            updates.kept.push(kept);
        }
    }
}

/// The client starts a thread to look up a name, before anything leaves, and panics where the system gives none: why that is, if it is
/// that.
pub fn lack_of_threads(panic: &(dyn Any + Send)) -> Option<&str> {
    panic.downcast_ref::<String>()?.strip_prefix("failed to spawn thread: ")
}

fn panicked(panic: &(dyn Any + Send)) -> Trouble {
    match lack_of_threads(panic) {
        Some(why) => Trouble::NoThread(why.to_owned()),
        None => Trouble::Broken("the HTTP client has a defect".to_owned()),
    }
}

/// A poisoned lock only means that another thread panicked between two requests.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Caller {
    fn serve(
        &self,
        call: Call,
        inbox: &Mutex<Receiver<(Ticket, Request)>>,
        outbox: &Sender<(Ticket, Result<Answer, Trouble>)>,
    ) {
        loop {
            let job = lock(inbox).recv();
            let Ok((ticket, request)) = job else { return };
            // A panic ends one request and not the thread: whoever waits for the answer would wait for ever.
            let answer = catch_unwind(AssertUnwindSafe(|| call(self, &request)))
                .unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
            if request.is_update() {
                self.is_back();
            }
            if outbox.send((ticket, answer)).is_err() {
                return;
            }
        }
    }

    fn is_back(&self) {
        let mut updates = lock(&self.updates);
        updates.count -= 1;
        if updates.count == 0 {
            updates.kept.clear();
        }
    }

    fn call(&self, request: &Request) -> Result<Answer, Trouble> {
        let token = self.token.expose_secret();
        let url = format!("{}{}", self.url, request.endpoint());
        if !request.says_whom() {
            return Err(Trouble::Broken("a deletion that does not say of whom is not sent".to_owned()));
        }
        let answer = match request {
            Request::Delete(_) => {
                let delete = self.agent.delete(format!("{url}?{}", request.query()));
                delete.header("X-Auth-Token", token).header("Accept", "application/json").call()
            }
            Request::Create { body, .. } | Request::Update { body, .. } => {
                let is_new = matches!(request, Request::Create { .. });
                let to = if is_new { self.agent.post(url) } else { self.agent.put(url) };
                let to = to.header("X-Auth-Token", token).header("Accept", "application/json");
                to.header("Content-Type", "application/json").send(body.expose_secret())
            }
            _ => {
                let get = self.agent.get(format!("{url}?{}", request.query()));
                let get = get.header("X-Auth-Token", token).header("Content-Type", "application/json");
                get.header("Accept", "application/json").call()
            }
        };
        let answer =
            answer.map_err(|e| trouble(&e, request.is_update(), self.agent.config().proxy())).and_then(read);
        match answer {
            Ok(answer) => {
                let body = without_token(answer.body, (200..300).contains(&answer.status), token);
                Ok(Answer { body, ..answer })
            }
            Err(Trouble::TooMuch { why, begun }) => {
                Err(Trouble::TooMuch { why, begun: without_token(begun, true, token) })
            }
            trouble => trouble,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::PageAsk;

    #[test]
    fn a_name_that_is_not_found_means_that_nothing_left() {
        let options =
            HttpOptions { api_url: "https://tillsync.invalid".into(), ..HttpOptions::new("abc", "token") };
        let mut remote = HttpRemote::new(&options).unwrap();
        let requests = [
            Request::Page(PageAsk::default()),
            Request::Update { resource: ResourceId::CUSTOMER, body: SecretString::from("[]") },
        ];
        for (place, request) in requests.into_iter().enumerate() {
            remote.start(Ticket(place as u64), request);
            let (_, answer) = remote.next(None).unwrap();
            assert!(matches!(answer, Err(Trouble::Offline(_))), "{answer:?}");
        }
    }

    #[test]
    fn a_panic_in_the_client_is_a_failed_request_and_the_next_one_is_answered() {
        let call: Call = |_, request| match request {
            Request::Update { .. } => Ok(Answer { status: 200, ..Answer::default() }),
            _ => panic!("a defect"),
        };
        let mut remote = HttpRemote::calling(&HttpOptions::new("abc", "token"), call).unwrap();
        for ticket in 0..2 * THREADS as u64 {
            remote.start(Ticket(ticket), Request::Page(PageAsk::default()));
        }
        for _ in 0..2 * THREADS {
            let (_, answer) = remote.next(Some(Duration::from_secs(10))).unwrap();
            assert!(matches!(answer, Err(Trouble::Broken(_))), "{answer:?}");
        }
        remote.start(
            Ticket(99),
            Request::Update { resource: ResourceId::CUSTOMER, body: SecretString::from("[]") },
        );
        let (ticket, answer) = remote.next(Some(Duration::from_secs(10))).unwrap();
        assert_eq!((ticket, answer.map(|answer| answer.status).ok()), (Ticket(99), Some(200)));
        assert_eq!(lock(&remote.updates).count, 0);
    }

    #[test]
    fn threads_that_the_system_does_not_give_are_told_and_may_be_there_later() {
        for given in 0..THREADS {
            threads::refusal::after(given);
            let refused = HttpRemote::new(&HttpOptions::new("abc", "token")).unwrap_err();
            assert_eq!((refused.code(), refused.can_retry()), ("no_thread", true));
            threads::refusal::is_over();
        }
        HttpRemote::new(&HttpOptions::new("abc", "token")).unwrap();
    }

    #[test]
    fn nothing_that_could_break_a_request_is_taken_for_a_hash_or_a_token() {
        for hash in ["", "a/b", "a b", "ä"] {
            assert!(HttpRemote::new(&HttpOptions::new(hash, "token")).is_err(), "{hash}");
        }
        for bad in ["", " ", "a\nb"] {
            let error = HttpRemote::new(&HttpOptions::new("abc", bad.replace("\\n", "\n"))).err();
            assert!(error.is_some_and(|e| bad.trim().is_empty() || !e.to_string().contains(bad)));
        }
    }
}
