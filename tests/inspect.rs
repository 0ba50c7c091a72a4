//! The page for the person at the shop, as a browser meets it: over real HTTP, beside a till's real file and a store. What a browser
//! itself does with it is looked at in `tests/inspect/tasks.py`, which the last test here starts.

#![cfg(all(feature = "inspect", feature = "sandbox", feature = "cli"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::odd::{Odd, Told};
use common::{SOON, Till, soon, till};
use serde_json::json;
use tillsync::inspect::{Inspector, InspectorOptions};
use tillsync::sandbox::Fault;
use tillsync::{EditSeq, Policies, Policy, SyncEngine};

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let name = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&name))
    }
}

/// A request, letter for letter.
fn ask(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut line = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    line.set_read_timeout(Some(SOON)).unwrap();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    write!(
        line,
        "{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut text = String::new();
    line.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.replace("\r\n", "\n"), body: body.to_owned() }
}

/// A browser that was let in.
struct Browser {
    port: u16,
    place: String,
    cookie: String,
}

impl Browser {
    /// Opens an address of the page.
    fn open(inspector: &Inspector) -> Browser {
        Browser::at(&inspector.address())
    }

    fn at(address: &str) -> Browser {
        let (port, path) = parts(address);
        let opened = ask(port, "GET", &path, &[("Host", &host(port))], "");
        assert_eq!(opened.status, 200, "{opened:?}");
        let cookie = opened.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let place = path.split("open?").next().unwrap().to_owned();
        Browser { port, place, cookie }
    }

    fn get(&self, page: &str) -> Answer {
        self.ask("GET", page, &[], "")
    }

    /// A page that is there.
    fn page(&self, page: &str) -> String {
        let answer = self.get(page);
        assert_eq!(answer.status, 200, "{page}: {answer:?}");
        answer.body
    }

    /// What a form of the page sends.
    fn send(&self, page: &str, fields: &[(&str, &str)]) -> Answer {
        let origin = format!("http://{}", host(self.port));
        self.ask("POST", page, &[("Origin", &origin), ("Sec-Fetch-Site", "same-origin")], &encoded(fields))
    }

    /// The same on a line that stays open, letter for letter.
    fn request(&self, method: &str, page: &str, fields: &[(&str, &str)]) -> String {
        let (host, place, cookie, body) = (host(self.port), &self.place, &self.cookie, encoded(fields));
        format!(
            "{method} {place}{page} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nOrigin: http://{host}\r\n\
             Sec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn line(&self) -> TcpStream {
        let line = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        line.set_read_timeout(Some(SOON)).unwrap();
        line
    }

    fn ask(&self, method: &str, page: &str, more: &[(&str, &str)], body: &str) -> Answer {
        let host = host(self.port);
        let form = "application/x-www-form-urlencoded";
        let usual = [("Host", &*host), ("Cookie", &*self.cookie), ("Content-Type", form)];
        ask(self.port, method, &format!("{}{page}", self.place), &[&usual, more].concat(), body)
    }

    /// The fields that a form of the page sends by itself: those of the card in which the word stands.
    fn hidden(&self, page: &str, word: &str) -> Vec<(String, String)> {
        let page = self.page(page);
        let card = page
            .split("<article")
            .find(|card| card.contains(word))
            .unwrap_or_else(|| panic!("{word}: {page}"));
        let form = card.split("<form").nth(1).unwrap();
        let inputs = form.split("<input type=\"hidden\" ").skip(1);
        inputs
            .map(|input| (between(input, "name=\"", "\""), unescaped(&between(input, "value=\"", "\""))))
            .collect()
    }

    /// Chooses in that card.
    fn choose(&self, page: &str, word: &str, act: &str, value: &str) -> Answer {
        let mut fields = self.hidden(page, word);
        fields.extend(
            [("act", act), ("value", value)].map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        self.send(page.split('?').next().unwrap(), &fields)
    }
}

/// What a form sends by itself, and these.
fn with<'f>(hidden: &'f [(String, String)], more: &[(&'f str, &'f str)]) -> Vec<(&'f str, &'f str)> {
    let hidden = hidden.iter().map(|(name, value)| (&**name, &**value));
    hidden.chain(more.iter().copied()).collect()
}

/// What is read on a page, without what it is made of.
fn words(page: &str) -> String {
    let texts = page.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    unescaped(&texts.collect::<String>())
}

fn host(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn parts(address: &str) -> (u16, String) {
    let rest = address.strip_prefix("http://127.0.0.1:").unwrap();
    let (port, path) = rest.split_once('/').unwrap();
    (port.parse().unwrap(), format!("/{path}"))
}

fn between(text: &str, before: &str, after: &str) -> String {
    text.split_once(before).unwrap().1.split_once(after).unwrap().0.to_owned()
}

fn unescaped(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn encoded(fields: &[(&str, &str)]) -> String {
    let letter = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    let encoded = |text: &str| text.bytes().map(letter).collect::<String>();
    fields
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// A till in which there is something on every page: a conflict of customer 1, a refused email of 2, and notes of 4 that wait.
fn busy_till() -> Till {
    let till = till(20);
    till.office(3, json!({"email": "taken@example.com"}));
    till.set(1, "phone", "555-0142");
    till.office(1, json!({"phone": "555-0199"}));
    till.set(2, "email", "taken@example.com");
    till.engine().sync().unwrap();
    till.set(4, "notes", "rings twice");
    let status = till.store().status().unwrap();
    assert_eq!((status.conflicts, status.rejected, status.pending_fields), (1, 1, 1));
    till
}

fn options(till: &Till) -> InspectorOptions {
    let (remote, how) = (till.clone(), till.options.clone());
    Inspector::of(till.store())
        .author("ana")
        .syncs_by(move |store| Ok(SyncEngine::new(store, remote.remote(), how.clone())))
}

const PAGES: [&str; 9] = [
    "overview",
    "waiting",
    "refused",
    "conflicts",
    "customers",
    "customers?q=a",
    "customer?id=1",
    "customer?id=2",
    "syncs",
];

// ---- who may ask -------------------------------------------------------------------------------------------------

#[test]
fn an_address_lets_in_once_and_each_has_a_secret_of_its_own() {
    let inspector = options(&till(3)).start().unwrap();
    let (first, second) = (inspector.address(), inspector.address());
    assert_ne!(first, second);
    let (port, path) = parts(&first);
    let by = |path: &str| ask(port, "GET", path, &[("Host", &host(port))], "");
    let opened = by(&path);
    assert_eq!(opened.status, 200);
    let cookie = opened.header("set-cookie").unwrap().to_owned();
    let place = path.split("open?").next().unwrap();
    for word in ["; HttpOnly", "; SameSite=Strict", &format!("; Path={place}")] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let refused = |path: &str, words: &str| {
        let answer = by(path);
        assert_eq!((answer.status, answer.header("set-cookie")), (403, None));
        assert!(answer.body.contains(words), "{path}: {answer:?}");
    };
    refused(&path, "opened before");
    refused(
        &format!("{place}open?secret=00000000000000000000000000000000"),
        "not one that this page gave out",
    );
    refused(&format!("{place}open?secret="), "not one that this page gave out");
    // Who only asks whether it is there has not opened it.
    ask(port, "HEAD", &parts(&second).1, &[("Host", &host(port))], "");
    assert_eq!(by(&parts(&second).1).status, 200);
    let late = inspector.address();
    (0..20).for_each(|_| _ = inspector.address());
    refused(&parts(&late).1, "newer ones took its place");
    let elsewhere = by("/00000000000000000000000000000000/overview");
    assert!(elsewhere.status == 404 && elsewhere.body.contains("has ended"), "{elsewhere:?}");
}

#[test]
fn whoever_was_not_let_in_is_told_nothing() {
    let inspector = options(&busy_till()).start().unwrap();
    let browser = Browser::open(&inspector);
    let nobody =
        Browser { cookie: "tillsync_inspect=00000000000000000000000000000000".to_owned(), ..browser };
    for page in PAGES.into_iter().chain(["pulse", "live", "page.css", "nothing"]) {
        let answer = nobody.get(page);
        assert_eq!(answer.status, 403, "{page}: {answer:?}");
        assert!(answer.body.contains("Nobody has let this browser in."), "{page}: {answer:?}");
    }
    let elsewhere = Browser { place: "/".to_owned(), ..Browser::open(&inspector) };
    assert_eq!(elsewhere.get("overview").status, 404, "it lies at a place of its own");
}

/// A name of somebody else's that leads to this machine is how a page of theirs would get to read this one.
#[test]
fn a_wrong_host_is_refused() {
    let inspector = options(&till(3)).start().unwrap();
    let browser = Browser::open(&inspector);
    let by = |hosts: &[&str]| {
        let mut headers: Vec<(&str, &str)> = hosts.iter().map(|host| ("Host", *host)).collect();
        headers.push(("Cookie", &browser.cookie));
        ask(browser.port, "GET", &format!("{}overview", browser.place), &headers, "").status
    };
    let own = host(browser.port);
    assert_eq!(by(&[&own]), 200);
    for wrong in [
        &format!("evil.example:{}", browser.port),
        "127.0.0.1",
        "127.0.0.1:1",
        &format!("localhost:{}", browser.port),
    ] {
        assert_eq!(by(&[wrong]), 421, "{wrong}");
    }
    assert!([400, 421].contains(&by(&[&own, "evil.example"])));
}

#[test]
fn a_forged_request_is_refused_and_does_nothing() {
    let till = busy_till();
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let fields = browser.hidden("conflicts", "Keep ours");
    let mut fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
    fields.push(("act", "theirs"));
    let own = format!("http://{}", host(browser.port));
    let neighbour = format!("http://127.0.0.1:{}", browser.port ^ 1);
    for from in [
        &[][..],
        &[("Origin", "null")],
        &[("Origin", "http://evil.example")],
        &[("Origin", &neighbour)],
        &[("Origin", &own), ("Sec-Fetch-Site", "cross-site")],
        &[("Origin", &own), ("Sec-Fetch-Site", "same-site")],
        &[("Origin", &own), ("Sec-Fetch-Site", "none")],
        &[("Origin", &own), ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
        &[("Origin", &own), ("Origin", "http://evil.example")],
        &[("Origin", &own), ("Origin", &own)],
    ] {
        for page in ["conflicts", "refused", "waiting", "customer", "sync"] {
            assert_eq!(browser.ask("POST", page, from, &encoded(&fields)).status, 403, "{page} {from:?}");
        }
    }
    assert_eq!(browser.ask("PUT", "conflicts", &[], "").status, 403);
    assert_eq!(browser.ask("GET", "overview", &[("Sec-Fetch-Site", "cross-site")], "").status, 403);
    for looks in [
        &[("Origin", "http://evil.example")][..],
        &[("Origin", &own), ("Origin", "http://evil.example")],
        &[("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")],
    ] {
        assert_eq!(browser.ask("GET", "overview", looks, "").status, 403, "{looks:?}");
    }
    // By looking nothing is done.
    assert_eq!(browser.get(&format!("conflicts?{}", encoded(&fields))).status, 200);
    assert_eq!(browser.get("sync").status, 303);
    assert_eq!(till.store().status().unwrap().conflicts, 1);
    assert_eq!(browser.send("conflicts", &fields).status, 303);
    assert_eq!(till.store().status().unwrap().conflicts, 0);
}

#[test]
fn every_answer_brings_the_policy_and_no_page_needs_more_than_it_allows() {
    let till = busy_till();
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let nobody = ask(browser.port, "GET", "/", &[("Host", &host(browser.port))], "");
    let pages = PAGES.into_iter().chain(["pulse", "page.css", "page.js", "htmx.js", "icon.svg", "nothing"]);
    for answer in pages.map(|page| browser.get(page)).chain([nobody]) {
        let policy = answer.header("content-security-policy").unwrap();
        for word in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(word), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
        assert!(answer.header("cache-control").is_some());
    }
    for page in PAGES {
        let answer = browser.get(page);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "a customer stays in no cache");
        let text = answer.body;
        for forbidden in [" style=", "<style", "<script>", " onclick", "javascript:", "http://", "https://"] {
            assert!(!text.contains(forbidden), "{page}: {forbidden}");
        }
    }
}

#[test]
fn no_secret_is_on_any_page() {
    let till = busy_till();
    till.set(5, "new_password", "correct-horse-42");
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let session = browser.cookie.split_once('=').unwrap().1;
    let pages = PAGES.into_iter().chain(["customer?id=5", "pulse"]);
    for page in pages {
        let text = browser.page(page);
        for secret in [till.sandbox.token(), session, "correct-horse-42"] {
            assert!(!text.contains(secret), "{page} tells {secret}");
        }
    }
    assert!(browser.page("waiting").contains("New password"));
    let debugged = format!("{inspector:?}");
    assert!(!debugged.contains(session), "{debugged}");
}

#[test]
fn it_listens_on_loopback_alone() {
    let inspector = options(&till(3)).start().unwrap();
    let other = SocketAddr::from(([127, 0, 0, 2], inspector.port()));
    assert!(TcpStream::connect_timeout(&other, Duration::from_secs(1)).is_err());
    drop(inspector);
}

#[test]
fn read_only_shows_everything_and_does_nothing() {
    let till = busy_till();
    let inspector = options(&till).read_only().start().unwrap();
    let browser = Browser::open(&inspector);
    for page in PAGES {
        let text = browser.page(page);
        assert!(!text.contains("method=\"post\""), "{page}");
        assert!(text.contains("only shows"), "{page}");
    }
    let (before, puts) = (till.store().journal(None).unwrap(), till.puts());
    let seq = before[0].seq.to_string();
    for (page, act) in [
        ("waiting", "give-up"),
        ("refused", "give-up"),
        ("conflicts", "ours"),
        ("customer", "undo"),
        ("sync", ""),
    ] {
        let answer = browser.send(page, &[("act", act), ("seq", &seq), ("id", "1"), ("field", "phone")]);
        assert_eq!(answer.status, 403, "{page}");
        assert!(answer.body.contains("nothing was done"), "{page}");
    }
    assert_eq!(till.store().journal(None).unwrap(), before);
    assert_eq!(till.puts(), puts);
}

/// What an app may do, the page does: it stands on nothing else.
#[test]
fn it_is_made_of_the_public_library_only() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let exported = std::fs::read_to_string(sources.join("lib.rs")).unwrap();
    let inner: Vec<&str> =
        exported.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')).collect();
    assert!(inner.contains(&"store") && inner.contains(&"flow"));
    let folders = [sources.join("inspect"), sources.join("inspect/pages")];
    for file in folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()) {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|it| it == "rs") {
            let text = std::fs::read_to_string(&file).unwrap();
            for module in &inner {
                assert!(!text.contains(&format!("crate::{module}::")), "{} uses {module}", file.display());
            }
        }
    }
}

/// A page that is none of the till looks as the others do, and brings its icon.
#[test]
fn what_is_shown_outside_needs_nothing_that_is_refused() {
    let inspector = options(&till(3)).start().unwrap();
    let by = |path: &str| ask(inspector.port(), "GET", path, &[("Host", &host(inspector.port()))], "");
    let refused = by("/");
    assert!(
        refused.body.contains("href=\"/page.css\"") && refused.body.contains("href=\"/icon.svg\""),
        "{refused:?}"
    );
    for (path, kind) in [("/page.css", "text/css"), ("/icon.svg", "image/svg"), ("/favicon.ico", "image/svg")]
    {
        let answer = by(path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("content-type").unwrap().starts_with(kind), "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-cache"), "another build's may lie there");
    }
}

/// Whoever says nothing, or says it letter by letter, does not keep the shop from its page.
#[test]
fn many_who_say_nothing_keep_nobody_out() {
    let inspector = options(&till(3)).start().unwrap();
    let address = (Ipv4Addr::LOCALHOST, inspector.port());
    let silent: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
    let began = Instant::now();
    let mut slow = &silent[0];
    let dripping = std::thread::scope(|scope| {
        let drips = scope.spawn(move || {
            let letters = b"GET / HTTP/1.1\r\nHost: a".iter().cycle();
            letters
                .take_while(|letter| {
                    std::thread::sleep(Duration::from_millis(200));
                    began.elapsed() < SOON && slow.write_all(&[**letter]).is_ok()
                })
                .count()
        });
        Browser::open(&inspector).page("overview");
        drips.join().unwrap()
    });
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    assert!(dripping > 0);
}

/// With which status a request on a line that stays open is answered; none: the line was cut.
fn answered(line: &TcpStream) -> Option<u16> {
    let mut line = BufReader::new(line);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if line.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = between(&head, "content-length: ", "\r\n").parse().unwrap();
    line.read_exact(&mut vec![0; length]).ok()?;
    head.split(' ').nth(1)?.parse().ok()
}

/// Whoever has read for a while before they decide is answered, and so is who waits for another program to let go of the file; who
/// then says it letter by letter is not waited for.
#[test]
fn a_decision_that_is_carried_out_is_answered_however_late_it_comes_and_however_long_it_takes() {
    let till = busy_till();
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let overview = browser.request("GET", "overview", &[]);
    let seen = browser.hidden("conflicts", "Keep ours");
    let decision = browser.request("POST", "conflicts", &with(&seen, &[("act", "theirs")]));
    let seen = browser.hidden("refused", "Give it up");
    let giving_up = browser.request("POST", "refused", &with(&seen, &[("act", "give-up")]));
    let began = Instant::now();
    let at = |second| std::thread::sleep(Duration::from_secs(second).saturating_sub(began.elapsed()));
    let (held, thoughtful, patient, dripping) = (
        || {
            let file = tillsync::rusqlite::Connection::open(&till.path).unwrap();
            at(11);
            file.execute_batch("BEGIN IMMEDIATE").unwrap();
            at(19);
            file.execute_batch("ROLLBACK").unwrap();
        },
        || {
            let mut line = browser.line();
            line.write_all(overview.as_bytes()).unwrap();
            assert_eq!(answered(&line), Some(200));
            let (first, rest) = decision.split_at(decision.len() / 2);
            at(13);
            line.write_all(first.as_bytes()).unwrap();
            at(17);
            _ = line.write_all(rest.as_bytes());
            answered(&line)
        },
        || {
            let mut line = browser.line();
            at(12);
            line.write_all(giving_up.as_bytes()).unwrap();
            answered(&line)
        },
        || {
            let mut line = browser.line();
            line.write_all(overview.as_bytes()).unwrap();
            assert_eq!(answered(&line), Some(200));
            let mut letters = overview.bytes().cycle();
            while began.elapsed() < SOON && line.write_all(&[letters.next().unwrap()]).is_ok() {
                std::thread::sleep(Duration::from_millis(500));
            }
            began.elapsed()
        },
    );
    std::thread::scope(|scope| {
        scope.spawn(held);
        let (thoughtful, patient) = (scope.spawn(thoughtful), scope.spawn(patient));
        let dripping = scope.spawn(dripping).join().unwrap();
        assert_eq!(thoughtful.join().unwrap(), Some(303), "it came late");
        assert_eq!(patient.join().unwrap(), Some(303), "it took long");
        assert!((10..25).contains(&dripping.as_secs()), "{dripping:?}");
    });
    let status = till.store().status().unwrap();
    assert_eq!((status.conflicts, status.rejected), (0, 0));
}

/// What is told of what happens keeps its line.
#[test]
fn a_page_that_listens_is_not_cut_off() {
    let till = till(3);
    let inspector = options(&till).start().unwrap();
    let mut events = listen(&Browser::open(&inspector));
    std::thread::sleep(Duration::from_secs(17));
    till.set(1, "phone", "555-0142");
    assert!(events.any(|line| line == "event: changed"));
}

// ---- what is done ------------------------------------------------------------------------------------------------

#[test]
fn a_conflict_is_decided_as_it_was_shown() {
    for (act, value, here, outcome) in [
        ("ours", "", "\"555-0142\"", "pending"),
        ("theirs", "", "\"555-0199\"", "remote"),
        ("other", "+49 30 7", "\"+49 30 7\"", "pending"),
    ] {
        let till = busy_till();
        let inspector = options(&till).start().unwrap();
        let browser = Browser::open(&inspector);
        let page = browser.page("conflicts");
        assert!(page.contains("555-0142") && page.contains("555-0199"), "{page}");
        let done = browser.choose("conflicts", "Keep ours", act, value);
        assert_eq!((done.status, done.header("location")), (303, Some(&*format!("conflicts?said={act}"))));
        assert!(browser.page(done.header("location").unwrap()).contains("No conflicts."));
        assert_eq!(till.local(1, "phone"), here);
        assert_eq!(till.outcomes(1, "phone").last().unwrap(), outcome);
        let mut engine = till.engine();
        engine.sync().unwrap();
        assert_eq!(till.remote_value(1, "phone"), here, "{act}");
        let by = till.store().journal(Some(1.into())).unwrap();
        assert!(by.iter().any(|row| row.author.as_deref() == Some("ana")) || act == "theirs");
    }
}

#[test]
fn a_conflict_that_has_moved_on_is_refused_and_shown_as_it_is_now() {
    let till = busy_till();
    let inspector = options(&till).start().unwrap();
    let (one, other) = (Browser::open(&inspector), Browser::open(&inspector));
    let seen = one.hidden("conflicts", "Keep ours");
    let mut seen: Vec<(&str, &str)> = seen.iter().map(|(name, value)| (&**name, &**value)).collect();
    seen.push(("act", "ours"));
    till.office(1, json!({"phone": "555-0200"}));
    till.engine().sync().unwrap();
    let refused = one.send("conflicts", &seen);
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("555-0200") && refused.body.contains("role=\"alert\""), "{}", refused.body);
    assert_eq!(till.store().status().unwrap().conflicts, 1);
    // Two tabs: what one of them decided is gone in the other.
    let seen = one.hidden("conflicts", "Keep ours");
    let mut seen: Vec<(&str, &str)> = seen.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(other.choose("conflicts", "Keep ours", "theirs", "").status, 303);
    seen.push(("act", "ours"));
    assert_eq!(one.send("conflicts", &seen).status, 422);
    assert_eq!(till.local(1, "phone"), "\"555-0200\"");
}

#[test]
fn what_was_edited_since_a_page_was_opened_is_no_part_of_what_is_decided_there() {
    let till = busy_till();
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let seen = browser.hidden("conflicts", "Keep ours");
    let mut seen: Vec<(&str, &str)> = seen.iter().map(|(name, value)| (&**name, &**value)).collect();
    seen.push(("act", "theirs"));
    till.set(1, "phone", "555-0300");
    let refused = browser.send("conflicts", &seen);
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("555-0300") && !refused.body.contains("555-0142"), "{}", refused.body);
    assert_eq!(browser.choose("conflicts", "Keep ours", "theirs", "").status, 303);
    till.engine().sync().unwrap();
    assert_eq!([till.local(1, "phone"), till.remote_value(1, "phone")], ["\"555-0199\""; 2]);
}

#[test]
fn a_refused_edit_is_corrected_and_what_was_typed_is_kept_when_it_is_not_taken() {
    let till = busy_till();
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let page = browser.page("refused");
    assert!(page.contains("already in use") && page.contains("taken@example.com"), "{page}");
    let stale = browser.hidden("refused", "already in use");
    let wrong = "a\u{304b} <b>\"".to_owned() + &"x".repeat(300);
    let refused = browser.choose("refused", "already in use", "correct", &wrong);
    assert_eq!(refused.status, 422);
    let typed = wrong.replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    assert!(refused.body.contains(&format!("value=\"{typed}\"")), "{}", refused.body);
    assert!(
        refused.body.contains("aria-invalid=\"true\"") && refused.body.contains("at most 255"),
        "{}",
        refused.body
    );
    assert_eq!(till.store().status().unwrap().rejected, 1);
    let corrected = browser.choose("refused", "already in use", "correct", "free@example.com");
    assert_eq!(corrected.header("location"), Some("refused?said=corrected"));
    // In a second tab, or after going back: it is not taken for a correction of the correction.
    let mut fields: Vec<(&str, &str)> = stale.iter().map(|(name, value)| (&**name, &**value)).collect();
    fields.extend([("act", "correct"), ("value", "other@example.com")]);
    let second = browser.send("refused", &fields);
    assert!(second.status == 422 && second.body.contains("edited here again"), "{second:?}");
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(2, "email"), "\"free@example.com\"");
    assert_eq!(till.store().status().unwrap().rejected, 0);
}

#[test]
fn a_refused_edit_is_sent_again_or_given_up() {
    let till = busy_till();
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let again = browser.choose("refused", "already in use", "again", "");
    assert_eq!(again.header("location"), Some("refused?said=again"));
    assert_eq!(till.outcomes(2, "email"), ["pending"]);
    till.engine().sync().unwrap();
    // Another one, behind it, is not taken for it.
    till.set(5, "email", "taken@example.com");
    till.engine().sync().unwrap();
    let stale = browser.hidden("refused", "already in use");
    assert_eq!(browser.choose("refused", "already in use", "give-up", "").status, 303);
    assert_eq!(till.outcomes(2, "email"), ["discarded"]);
    let mut stale: Vec<(&str, &str)> = stale.iter().map(|(name, value)| (&**name, &**value)).collect();
    stale.push(("act", "again"));
    let gone = browser.send("refused", &stale);
    assert!(gone.status == 422 && gone.body.contains("moved on"), "{gone:?}");
    assert_eq!(till.outcomes(5, "email"), ["rejected"]);
    let odd = browser.send("refused", &[("seq", &i64::MIN.to_string()), ("act", "again")]);
    assert_eq!(odd.status, 422);
}

/// Nor by whoever sends what no form of the page offers.
#[test]
fn a_refused_payment_is_never_replaced_by_a_value() {
    let till = busy_till();
    till.store().set_credit_floor(None).unwrap();
    till.adjust(4, "-90000");
    till.engine().sync().unwrap();
    assert_eq!(till.outcomes(4, "store_credit_amounts"), ["rejected"]);
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let refused = browser.choose("refused", "-90000", "correct", "5");
    assert!(refused.status == 422 && refused.body.contains("stands for itself"), "{refused:?}");
    assert_eq!(till.outcomes(4, "store_credit_amounts"), ["rejected"]);
}

/// A guess about money is forbidden: what may mean two things is refused, in words of a shop, and stays typed.
#[test]
fn an_amount_that_may_mean_two_things_is_refused_in_words_of_a_shop() {
    let till = till_in_conflict_about_money();
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    for (typed, words) in
        [("12,50", "can be read in two ways"), ("abc", "is no amount"), ("", "Type an amount")]
    {
        let refused = browser.choose("conflicts", "Store credit", "other", typed);
        assert_eq!(refused.status, 422, "{typed}");
        assert!(refused.body.contains(words) && !refused.body.contains("JSON"), "{typed}: {}", refused.body);
        assert!(refused.body.contains(&format!("value=\"{typed}\" autocomplete")), "{}", refused.body);
    }
    assert_eq!(browser.choose("conflicts", "Store credit", "other", "12.50").status, 303);
    assert_eq!(till.local(4, "store_credit_amounts"), r#"[{"amount":12.5}]"#);
}

fn till_in_conflict_about_money() -> Till {
    let till = till(20);
    till.office(4, json!({"store_credit_amounts": [{"amount": 40}]}));
    till.engine().sync().unwrap();
    till.set(4, "store_credit_amounts", r#"[{"amount":50}]"#);
    till.office(4, json!({"store_credit_amounts": [{"amount": 60}]}));
    till.engine().sync().unwrap();
    assert_eq!(till.store().status().unwrap().conflicts, 1);
    till
}

#[test]
fn a_balance_below_the_floor_is_refused_where_it_is_typed() {
    let till = till_in_conflict_about_money();
    till.adjust(4, "-30");
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let refused = |typed: &str, words: &str| {
        let answer = browser.choose("conflicts", "Store credit", "other", typed);
        assert_eq!(answer.status, 422, "{typed}");
        assert!(answer.body.contains(words), "{typed}: {}", answer.body);
        assert!(answer.body.contains(&format!("value=\"{typed}\" autocomplete")), "{}", answer.body);
    };
    refused("-5", "-5.00 is below 0.00");
    refused("20", "that leaves -10.00");
    assert_eq!(till.store().status().unwrap().conflicts, 1);
    assert_eq!(browser.choose("conflicts", "Store credit", "other", "35").status, 303);
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(4, "store_credit_amounts"), r#"[{"amount":5}]"#);
}

/// A till whose next update of a customer with a balance of 40 is refused: a payment.
fn till_with_a_payment_refused(amount: &str) -> Till {
    let till = till(20);
    till.office(4, json!({"store_credit_amounts": [{"amount": 40}]}));
    till.engine().sync().unwrap();
    let odd = Odd::before(&till.sandbox).before_store(|asked| {
        asked
            .is_put()
            .then(|| Told::json_of(422, &json!({"status": 422, "title": "not today", "errors": {}})))
    });
    till.adjust(4, amount);
    till.through(&odd).engine().sync().unwrap();
    assert_eq!(till.outcomes(4, "store_credit_amounts"), ["rejected"]);
    till
}

/// The office may set a balance below the floor, and a payment may have been taken that is not to be undone: so a shop can go on, and
/// knows it.
#[test]
fn a_side_that_leaves_a_balance_below_the_floor_is_kept_by_a_second_word_alone() {
    let till = till_in_conflict_about_money();
    till.office(4, json!({"store_credit_amounts": [{"amount": 5}]}));
    till.engine().sync().unwrap();
    till.adjust(4, "-35");
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let page = browser.page("conflicts");
    let read = words(&page);
    for sum in
        ["Keep ours: 50.00 and -35.00 paid since: 15.00", "Keep theirs: 5.00 and -35.00 paid since: -30.00"]
    {
        assert!(read.contains(sum), "{sum}: {read}");
    }
    assert!(read.contains("Keep theirs all the same") && !read.contains("Keep ours all the same"), "{read}");
    let seen = browser.hidden("conflicts", "Store credit");
    for leaves in ["", "-25.00"] {
        let refused = browser.send("conflicts", &with(&seen, &[("act", "theirs"), ("leaves", leaves)]));
        assert_eq!(refused.status, 422);
        let told = "With the payments made since, -35.00, that leaves -30.00, which is below 0.00.";
        assert!(words(&refused.body).contains(told), "{}", refused.body);
    }
    assert_eq!(till.store().status().unwrap().conflicts, 1);
    let leaves = between(&page, "name=\"leaves\" value=\"", "\"");
    let done = browser.send("conflicts", &with(&seen, &[("act", "theirs"), ("leaves", &leaves)]));
    assert_eq!(done.header("location"), Some("conflicts?said=theirs&balance=-30.00"));
    assert_eq!(till.local(4, "store_credit_amounts"), r#"[{"amount":-30}]"#);
}

#[test]
fn what_a_decision_about_a_balance_comes_to_is_told() {
    for (act, typed, balance) in [("ours", "", "20.00"), ("theirs", "", "30.00"), ("other", "35", "5.00")] {
        let till = till_in_conflict_about_money();
        till.adjust(4, "-30");
        let inspector = options(&till).start().unwrap();
        let browser = Browser::open(&inspector);
        let done = browser.choose("conflicts", "Store credit", act, typed);
        let page = words(&browser.page(done.header("location").unwrap()));
        assert!(page.contains(&format!("The balance here is now {balance}.")), "{act}: {page}");
    }
}

/// A floor is about what a till pays out, not about what the office decides.
#[test]
fn a_balance_that_the_office_set_below_the_floor_is_kept_as_any() {
    let till = till_in_conflict_about_money();
    till.office(4, json!({"store_credit_amounts": [{"amount": -20}]}));
    till.engine().sync().unwrap();
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let done = browser.choose("conflicts", "Store credit", "theirs", "");
    assert_eq!(done.header("location"), Some("conflicts?said=theirs&balance=-20.00"), "{done:?}");
}

#[test]
fn a_payment_is_sent_again_below_the_floor_by_a_second_word_alone() {
    let till = till_with_a_payment_refused("-35");
    // Proven by a reading that cannot lag, it stays refused whoever moves the balance.
    till.sent_a_minute_ago();
    till.engine().sync().unwrap();
    till.office(4, json!({"store_credit_amounts": [{"amount": 10}]}));
    till.engine().sync().unwrap();
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let mut seen = browser.hidden("refused", "not today");
    seen.retain(|(name, _)| name != "leaves");
    let refused = browser.send("refused", &with(&seen, &[("act", "again")]));
    let told = "With this payment, -35.00, that leaves -25.00, which is below 0.00.";
    assert!(refused.status == 422 && words(&refused.body).contains(told), "{refused:?}");
    assert_eq!(till.outcomes(4, "store_credit_amounts"), ["rejected"]);
    let done = browser.choose("refused", "not today", "again", "");
    assert_eq!(done.header("location"), Some("refused?said=again&balance=-25.00"));
    assert_eq!(till.outcomes(4, "store_credit_amounts"), ["pending"]);
}

/// The greatest amount that can be noted, and a payment on top: nobody has so much, and no page breaks for it.
#[test]
fn amounts_of_which_there_is_no_sum_break_no_page() {
    const MOST: &str = "79228162514264337593543950335";
    let till = till_in_conflict_about_money();
    till.adjust(4, "10");
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let typed = browser.choose("conflicts", "Store credit", "other", MOST);
    assert_eq!(typed.status, 422, "{typed:?}");
    let told = format!(
        "UPDATE conflict SET remote = '[{{\"amount\":{MOST}}}]' WHERE field = 'store_credit_amounts'"
    );
    assert_eq!(common::as_engine(till.store().connection(), &told, []), 1);
    let page = words(&browser.page("conflicts"));
    assert!(page.contains("Keep ours: 50.00 and 10.00 paid since: 60.00"), "{page}");
    assert!(page.contains("Keep theirs") && !page.contains("Keep theirs:"), "{page}");
    let theirs = browser.choose("conflicts", "Store credit", "theirs", "");
    assert!([303, 422].contains(&theirs.status), "{theirs:?}");
}

/// Nobody but whoever set it knows what it is made of: counted twice, it is money that nobody paid.
#[test]
fn whether_a_balance_that_was_set_since_holds_a_payment_is_asked_before_it_is_sent_again() {
    let till = till_with_a_payment_refused("10");
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let old = browser.hidden("refused", "not today");
    let refused = || {
        let refused = browser.send("refused", &with(&old, &[("act", "again")]));
        assert_eq!(refused.status, 422);
        assert!(
            between(&refused.body, "id=\"refusal\"", "</div>")
                .contains("Does 50.00 hold that payment already?"),
            "{refused:?}"
        );
        assert_eq!(till.outcomes(4, "store_credit_amounts")[0], "rejected");
    };
    let asks = "Does 50.00 hold that payment already?";
    till.set(4, "store_credit_amounts", r#"[{"amount":50}]"#);
    let page = browser.page("refused");
    assert!(
        page.contains(asks) && page.contains("sync first") && !page.contains("value=\"again\""),
        "{page}"
    );
    refused();
    till.engine().sync().unwrap();
    assert_eq!(till.outcomes(4, "store_credit_amounts"), ["rejected", "uploaded"]);
    let page = browser.page("refused");
    assert!(page.contains(asks) && page.contains("value=\"again\""), "{page}");
    refused();
    let done = browser.choose("refused", "not today", "again", "");
    assert_eq!(done.header("location"), Some("refused?said=again&balance=60.00"));
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(4, "store_credit_amounts"), r#"[{"amount":60}]"#);
}

/// Whoever gives up sees what, and what becomes of it.
#[test]
fn a_customer_who_is_gone_shows_what_is_given_up_with_them() {
    let till = till(20);
    till.office(4, json!({"store_credit_amounts": [{"amount": 40}]}));
    till.engine().sync().unwrap();
    till.set(4, "phone", "555-0142");
    till.adjust(4, "-12.50");
    deleted(&till, 4);
    till.set(4, "notes", "came by");
    till.adjust(4, "7.25");
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let page = browser.page("conflicts");
    let (given_up, since) = page.split_once("Paid since").unwrap();
    for words in ["What is given up", "555-0142", "-12.50", "came by"] {
        assert!(given_up.contains(words), "{words}: {page}");
    }
    assert!(
        since.contains("7.25")
            && since.contains("3 edits are never sent. 1 payment among them is in no balance"),
        "{page}"
    );
    let done = browser.choose("conflicts", "was deleted in the store", "give-up", "");
    assert_eq!(done.header("location"), Some("conflicts?said=gone"));
    let page = browser.page("conflicts");
    assert!(page.contains("7.25") && !page.contains("-12.50") && !page.contains("came by"), "{page}");
    let outcomes = ["phone", "notes", "store_credit_amounts"].map(|field| till.outcomes(4, field).join(" "));
    assert_eq!(outcomes, ["discarded", "discarded", "discarded held"]);
}

/// It is deleted in the store; that takes two looks which lie apart.
fn deleted(till: &Till, id: i64) {
    till.sandbox.delete(id as i32);
    soon(|| {
        till.engine().sync().unwrap();
        till.store().conflicts().unwrap().iter().any(|conflict| conflict.field == "*")
    });
}

/// The edits of a customer who is gone are given up as they were shown, once.
#[test]
fn nothing_is_given_up_of_a_customer_who_is_gone_that_was_not_shown() {
    let till = till(20);
    till.set(4, "phone", "555-0142");
    deleted(&till, 4);
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let seen = browser.hidden("conflicts", "was deleted in the store");
    let send = || browser.send("conflicts", &with(&seen, &[("act", "give-up")]));
    till.adjust(4, "7.25");
    let refused = send();
    assert!(
        refused.status == 422 && refused.body.contains("moved on") && refused.body.contains("7.25"),
        "{refused:?}"
    );
    assert_eq!(till.outcomes(4, "phone"), ["held"]);
    let seen = browser.hidden("conflicts", "was deleted in the store");
    let send = || browser.send("conflicts", &with(&seen, &[("act", "give-up")]));
    assert_eq!(send().status, 303);
    let seen = browser.hidden("conflicts", "was deleted in the store");
    let send = || browser.send("conflicts", &with(&seen, &[("act", "give-up")]));
    assert_eq!(send().status, 303);
    let gone = send();
    assert!(gone.status == 422 && gone.body.contains("moved on"), "{gone:?}");
    for word in ["unknown_customer", "pull", "For whoever helps"] {
        assert!(!gone.body.contains(word), "{word}: {gone:?}");
    }
}

/// Who stands at the counter has no command line: what only helps there is folded away, for whoever helps.
#[test]
fn no_page_speaks_to_whoever_has_no_command_line_as_to_one_who_has() {
    let till = busy_till();
    till.sandbox.cut();
    till.engine().sync().unwrap_err();
    let inspector = Inspector::of(till.store()).cannot_sync("no token: give --token").start().unwrap();
    let browser = Browser::open(&inspector);
    let refused = browser.choose("refused", "already in use", "correct", "x").body;
    let pages = PAGES.into_iter().map(|page| browser.page(page));
    for page in pages.chain([refused]) {
        let mut parts = page.split("class=\"said-by-it\"");
        let before = parts.next().unwrap().to_owned();
        let said = parts.fold(before, |said, part| said + part.split_once("</p>").unwrap().1);
        for word in [
            "--",
            "os error",
            "JSON",
            "tillsync inspect",
            "tillsync doctor",
            "journaled",
            "discard",
            "1 edits",
            "1 customers",
        ] {
            assert!(!said.contains(word), "{word}: {said}");
        }
    }
    let overview = browser.page("overview");
    assert!(
        overview.contains("The store was out of reach") && overview.contains("no token: give --token"),
        "{overview}"
    );
}

/// The form in which it was typed may be gone.
#[test]
fn what_was_typed_is_kept_whatever_became_of_its_form() {
    let till = busy_till();
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let hidden = [browser.hidden("conflicts", "Keep ours"), browser.hidden("refused", "already in use")];
    // Newer values meet the decision: it is in the card as it is now.
    till.office(1, json!({"phone": "555-0200"}));
    till.engine().sync().unwrap();
    let send = |page: &str, act: &str, hidden: &[(String, String)]| {
        let mut fields: Vec<(&str, &str)> = hidden.iter().map(|(name, value)| (&**name, &**value)).collect();
        fields.extend([("act", act), ("value", "555-0142 <ask for Ana>")]);
        let answer = browser.send(page, &fields);
        assert_eq!(answer.status, 422, "{answer:?}");
        answer.body
    };
    let moved = send("conflicts", "other", &hidden[0]);
    assert!(
        moved.contains("value=\"555-0142 &lt;ask for Ana&gt;\"") && !moved.contains("id=\"kept\""),
        "{moved}"
    );
    // Nothing is left of it.
    browser.choose("conflicts", "Keep ours", "theirs", "");
    browser.choose("refused", "already in use", "give-up", "");
    for (page, act, hidden) in [("conflicts", "other", &hidden[0]), ("refused", "correct", &hidden[1])] {
        let gone = send(page, act, hidden);
        let kept = between(&gone, "<textarea id=\"kept\"", "</textarea>");
        assert!(kept.ends_with("555-0142 &lt;ask for Ana&gt;"), "{gone}");
    }
}

/// The page may have ended meanwhile, and another one be at its port.
#[test]
fn what_was_typed_in_a_page_that_has_ended_is_given_back() {
    let inspector = options(&busy_till()).start().unwrap();
    let browser = Browser::open(&inspector);
    for (place, cookie, status) in [
        (&*browser.place, "tillsync_inspect=0", 403),
        ("/00000000000000000000000000000000/", &*browser.cookie, 404),
    ] {
        let other = Browser { port: browser.port, place: place.to_owned(), cookie: cookie.to_owned() };
        let answer =
            other.send("refused", &[("seq", "1"), ("act", "correct"), ("value", "<b>olena@example.com")]);
        assert_eq!(answer.status, status);
        assert!(answer.body.contains("&lt;b&gt;olena@example.com</textarea>"), "{answer:?}");
        let forged = other.ask("POST", "refused", &[("Origin", "http://evil.example")], "value=x");
        assert!(!forged.body.contains("textarea"), "{forged:?}");
    }
}

/// What is edited last is what counts; and one thing is one card.
#[test]
fn what_was_refused_does_not_go_up_over_what_was_edited_since() {
    let till = busy_till();
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let seen = browser.hidden("refused", "already in use");
    till.set(2, "email", "free@example.com");
    let page = browser.page("refused");
    assert!(page.contains("Edited here again since") && page.contains("free@example.com"), "{page}");
    assert!(!page.contains("Send again") && !page.contains("Correct and send"), "{page}");
    let mut fields: Vec<(&str, &str)> = seen.iter().map(|(name, value)| (&**name, &**value)).collect();
    fields.push(("act", "again"));
    let refused = browser.send("refused", &fields);
    assert!(refused.status == 422 && refused.body.contains("edited here again"), "{refused:?}");
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(2, "email"), "\"free@example.com\"");
}

/// Whoever gives up one of several edits is not told that the store's value is back.
#[test]
fn what_is_left_of_an_attribute_when_an_edit_of_it_is_given_up_is_said() {
    let till = busy_till();
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let said = |answer: Answer| {
        assert_eq!(answer.status, 303, "{answer:?}");
        words(&browser.page(answer.header("location").unwrap()))
    };
    till.set(2, "email", "free@example.com");
    let page = said(browser.choose("refused", "already in use", "give-up", ""));
    assert!(page.contains("What else was edited of it here stays"), "{page}");
    assert!(!page.contains("as in the store"), "{page}");
    assert_eq!(till.local(2, "email"), "\"free@example.com\"");
    // One of two that wait, and then the other.
    till.set(4, "notes", "rings thrice");
    let page = said(browser.choose("waiting", "rings thrice", "give-up", ""));
    assert!(page.contains("What else was edited of it here stays"), "{page}");
    let page = said(browser.choose("waiting", "rings thrice", "give-up", ""));
    assert!(page.contains("Here it is as in the store"), "{page}");
    assert_eq!(till.local(4, "notes"), till.remote_value(4, "notes"));
}

#[test]
fn one_thing_that_was_refused_twice_is_one_card() {
    let till = busy_till();
    till.office(5, json!({"email": "taken.too@example.com"}));
    till.set(2, "email", "taken.too@example.com");
    till.engine().sync().unwrap();
    assert_eq!(till.outcomes(2, "email"), ["rejected", "rejected"]);
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let page = browser.page("refused");
    assert_eq!(page.matches("<article").count(), 1, "{page}");
    assert!(page.contains("taken.too@example.com"), "{page}");
    assert!(page.contains("Refused before that: 1 edit"), "{page}");
    assert_eq!(browser.choose("refused", "already in use", "give-up", "").status, 303);
    assert_eq!(till.store().status().unwrap().rejected, 0);
}

/// It is neither waiting to be sent nor nothing that has to be sent.
#[test]
fn a_payment_that_was_sent_and_not_answered_says_so() {
    let till = till(20);
    till.office(4, json!({"store_credit_amounts": [{"amount": 40}]}));
    till.engine().sync().unwrap();
    till.adjust(4, "-12.50");
    till.sandbox.script_updates([Fault::DelayedAnswer { ms: 3_000 }]);
    let mut engine = till.engine();
    let running = std::thread::spawn(move || engine.sync().unwrap());
    soon(|| till.outcomes(4, "store_credit_amounts") == ["in_flight"]);
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let page = browser.page("waiting");
    assert!(page.contains("1 edit was sent, and the answer is not known yet"), "{page}");
    for wrong in
        ["has the values already", "goes up with the next sync", "go up with the next sync", "give-up"]
    {
        assert!(!page.contains(wrong), "{wrong}: {page}");
    }
    assert!(browser.page("customer?id=4").contains("Something was sent, and the answer is not known yet"));
    let overview = browser.page("overview");
    assert!(
        overview.contains("1 upload on its way, the oldest") && !overview.contains("0 fields"),
        "{overview}"
    );
    running.join().unwrap();
}

#[test]
fn an_edit_that_waits_shows_what_is_sent_and_can_be_given_up() {
    let till = busy_till();
    till.adjust(4, "-1.25");
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let page = browser.page("waiting");
    assert!(page.contains("rings twice") && page.contains("-1.25"), "{page}");
    let exactly = till.store().diff(&[4.into()]).unwrap().remove(0);
    assert!(unescaped(&page).contains(&exactly), "{page}");
    assert_eq!(browser.choose("waiting", "rings twice", "give-up", "").status, 303);
    assert_eq!(till.outcomes(4, "notes"), ["discarded"]);
    assert!(!browser.page("waiting").contains("rings twice"));
}

#[test]
fn what_a_policy_decided_is_taken_back_on_the_customers_page() {
    let mut till = till(5);
    till.options.policies = Policies::all(Policy::Remote);
    till.set(1, "phone", "555-0142");
    till.office(1, json!({"phone": "555-0199"}));
    till.engine().sync().unwrap();
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let page = browser.page("customer?id=1");
    let decision = between(&page, "name=\"decision\" value=\"", "\"");
    let undone = browser.send("customer", &[("id", "1"), ("decision", &decision), ("act", "undo")]);
    assert_eq!(undone.header("location"), Some("customer?id=1&said=undone"));
    assert_eq!(till.local(1, "phone"), "\"555-0142\"");
    assert_eq!(
        browser.send("customer", &[("id", "1"), ("decision", &decision), ("act", "undo")]).status,
        422
    );
}

#[test]
fn a_sync_is_asked_for_and_what_came_of_it_is_told() {
    let till = busy_till();
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    assert_eq!(browser.send("sync", &[]).header("location"), Some("syncs"));
    soon(|| browser.page("syncs").contains("went up"));
    assert_eq!(till.remote_value(4, "notes"), "\"rings twice\"");
    till.sandbox.cut();
    browser.send("sync", &[]);
    soon(|| browser.page("syncs").contains("Every edit is kept"));
    assert!(browser.page("syncs").contains("The store was out of reach"));
    assert!(browser.page("overview").contains("data-state=\"away\""));
}

/// It takes the locks that every sync takes.
#[test]
fn a_sync_beside_another_leaves_it_to_that() {
    let till = busy_till();
    till.sandbox.set_latency_ms(1_500);
    let mut engine = till.engine();
    let other = std::thread::spawn(move || engine.sync().unwrap());
    soon(|| till.store().is_syncing().unwrap());
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    assert!(browser.page("overview").contains("data-state=\"syncing\""));
    browser.send("sync", &[]);
    soon(|| browser.page("syncs").contains("left it to that"));
    other.join().unwrap();
    soon(|| browser.page("overview").contains("data-state=\"connected\""));
}

#[test]
fn whoever_has_a_worker_asks_that_one_and_without_a_way_to_sync_it_is_told_why() {
    let till = busy_till();
    let (tell, asked) = std::sync::mpsc::channel();
    let inspector =
        Inspector::of(till.store()).asks_for_syncs(move || tell.send(()).unwrap()).start().unwrap();
    Browser::open(&inspector).send("sync", &[]);
    asked.recv_timeout(SOON).unwrap();
    let inspector = Inspector::of(till.store()).cannot_sync("no <token> is given").start().unwrap();
    let page = Browser::open(&inspector).page("overview");
    assert!(page.contains("no &lt;token&gt; is given") && !page.contains("sync-now"), "{page}");
}

/// Not every number is a customer's.
fn ids(till: &Till) -> Vec<i64> {
    till.sandbox.ids().into_iter().map(i64::from).collect()
}

/// The events of a page, line by line.
fn listen(browser: &Browser) -> impl Iterator<Item = String> + use<> {
    let mut line = TcpStream::connect((Ipv4Addr::LOCALHOST, browser.port)).unwrap();
    line.set_read_timeout(Some(SOON)).unwrap();
    let (place, host, cookie) = (&browser.place, host(browser.port), &browser.cookie);
    write!(line, "GET {place}live HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n").unwrap();
    BufReader::new(line).lines().map(Result::unwrap)
}

#[test]
fn pages_that_are_open_hear_what_happens_whoever_does_it() {
    let till = till(120);
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let mut events = listen(&browser);
    assert!(
        events.by_ref().take_while(|line| !line.is_empty()).any(|line| line.contains("text/event-stream"))
    );
    // It looks first, and tells of what is otherwise then.
    std::thread::sleep(Duration::from_millis(1_200));
    till.set(1, "phone", "555-0142");
    assert!(events.any(|line| line == "event: changed") && events.next().unwrap().starts_with("data: "));
    till.sandbox.set_latency_ms(20);
    ids(&till).iter().for_each(|id| till.set(*id, "company", "Sails & Co"));
    browser.send("sync", &[]);
    let progress = events.find(|line| line.contains("\"step\":\"uploaded\"")).unwrap();
    assert!(progress.contains("\"of\":120") && progress.contains("\"is_running\":true"), "{progress}");
    assert!(events.any(|line| line.contains("\"is_running\":false")));
}

// ---- what is shown -----------------------------------------------------------------------------------------------

#[test]
fn hostile_names_words_and_notes_do_not_escape() {
    let evil = "<script>alert(1)</script>\"'>&amp;\u{202e}gnp";
    let till = till(6);
    till.office(1, json!({"first_name": evil, "last_name": "", "notes": evil, "company": evil, "form_fields": [{"name": evil, "value": evil}]}));
    till.engine().sync().unwrap();
    till.set(1, "phone", "<img src=x onerror=1>");
    till.set(2, "company", evil);
    till.office(2, json!({"company": "'\"><svg onload=1>"}));
    till.store().edit(3).set("notes", evil).author(evil).label(evil).commit().unwrap();
    till.engine().pull(tillsync::Extent::Changes).unwrap();
    assert_eq!(till.store().status().unwrap().conflicts, 1);
    let inspector = options(&till).author(evil).start().unwrap();
    let browser = Browser::open(&inspector);
    for page in PAGES.into_iter().chain([
        "customer?id=3",
        "customers?q=script",
        "customers?q=%3Cscript%3E%22",
        "pulse?at=%3Cb%3E",
    ]) {
        let text = browser.page(page);
        for forbidden in ["<script>alert", "<img", "<svg"] {
            assert!(!text.contains(forbidden), "{page}: {text}");
        }
        // In a control it stays, letter for letter: what is sent is what is there.
        let controls = text.matches("<input type=\"text\"").count();
        assert_eq!(text.matches('\u{202e}').count(), controls, "{page}: {text}");
    }
    assert!(browser.page("customer?id=1").contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    let asked = browser.page("conflicts?said=%3Cb%3E&after=x");
    assert!(!asked.contains("<b>") && asked.contains("svg onload"), "{asked}");
}

#[test]
fn every_list_is_paged() {
    let till = till(70);
    let ids = ids(&till);
    let (some, last) = (&ids[..60], ids[65]);
    some.iter().for_each(|id| till.set(*id, "phone", "555-0142"));
    let store = till.store();
    let page = store.waiting_page(EditSeq(0), 25).unwrap();
    let next = store.waiting_page(page.last().unwrap().first, 50).unwrap();
    assert_eq!((page.len(), next.len()), (25, 35));
    assert_eq!((page[0].customer_id.0, next[0].customer_id.0, next[0].edits.len()), (ids[0], ids[25], 1));
    some.iter().for_each(|id| till.office(*id, json!({"phone": "555-0199"})));
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let cards = |page: &str| browser.page(page).matches("<article").count();
    let next = |page: &str| {
        let text = browser.page(page);
        text.contains("rel=\"next\"").then(|| between(&text, "rel=\"next\" href=\"", "\""))
    };
    let walk = |page: &str| {
        let (mut at, mut all) = (Some(page.to_owned()), Vec::new());
        while let Some(page) = at {
            all.push(cards(&page));
            at = next(&page);
        }
        all
    };
    assert_eq!(walk("waiting"), [25, 25, 10]);
    till.engine().sync().unwrap();
    assert_eq!(walk("conflicts"), [25, 25, 10]);
    // There is a way back, and it is told where one is.
    let second = browser.page(&next("conflicts").unwrap());
    assert!(
        second.contains("26–50 of 60 conflicts") && second.contains("rel=\"prev\" href=\"conflicts\""),
        "{second}"
    );
    let third = browser.page(&between(&second, "rel=\"next\" href=\"", "\""));
    assert!(third.contains("51–60 of 60 conflicts") && !third.contains("rel=\"next\""), "{third}");
    let back = browser.page(&between(&third, "rel=\"prev\" href=\"", "\""));
    assert!(back.contains("26–50 of 60 conflicts"), "{back}");
    // A decision on a later page comes back to it.
    let second = next("conflicts").unwrap();
    let decided = browser.choose(&second, "Keep ours", "ours", "");
    assert!(decided.header("location").unwrap().starts_with(&second), "{decided:?}");
    (0..30).for_each(|_| _ = till.engine().pull(tillsync::Extent::Changes).unwrap());
    let syncs = browser.page("syncs");
    assert_eq!(syncs.matches("<li data-outcome").count(), 20);
    assert!(next("syncs").is_some());
    (0..60).for_each(|nth| till.set(last, "phone", &nth.to_string()));
    let newest = browser.page(&format!("customer?id={last}"));
    assert_eq!(newest.matches("class=\"outcome\"").count(), 50);
    let older = between(&newest, "rel=\"next\" href=\"", "\"");
    assert_eq!(browser.page(&unescaped(&older)).matches("class=\"outcome\"").count(), 10);
}

#[test]
fn where_there_is_nothing_to_do_it_says_what_there_will_be() {
    let inspector = options(&till(3)).start().unwrap();
    let browser = Browser::open(&inspector);
    for (page, words) in [
        ("overview", "All that was edited here is in the store."),
        ("waiting", "Nothing waits."),
        ("refused", "The store refused nothing."),
        ("conflicts", "No conflicts."),
        ("customers", "3 customers in this till."),
        ("customers?q=zzzzz", "Nobody was found."),
        ("customer?id=99", "There is no such customer in this till."),
        ("customer?id=1", "Nothing was edited here."),
    ] {
        assert!(browser.page(page).contains(words), "{page}");
    }
    for page in ["waiting", "refused", "conflicts"] {
        let page = browser.page(page);
        assert!(!page.contains("class=\"lead\""), "what is said of a list is not said of none: {page}");
    }
    for id in ["abc", "99999999999999999999999", "", "0"] {
        let nobody = browser.get(&format!("customer?id={id}"));
        assert!(
            nobody.status == 404 && nobody.body.contains("There is no such customer"),
            "{id}: {nobody:?}"
        );
    }
    assert_eq!(browser.get("customer").status, 404);
    let nowhere = browser.get("nowhere");
    assert!(nowhere.status == 404 && nowhere.body.contains("There is nothing here"), "{nowhere:?}");
}

/// It is a line of the same text, by whoever ends lines so.
#[test]
fn a_line_that_ends_as_another_system_ends_it_is_a_line() {
    let till = till(3);
    till.office(1, json!({"notes": "rings\r\ntwice\u{7}"}));
    till.engine().sync().unwrap();
    till.set(1, "notes", "rings once");
    till.office(1, json!({"notes": "rings\r\nthrice\u{7}"}));
    till.engine().sync().unwrap();
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let (customer, conflicts) = (words(&browser.page("customer?id=1")), words(&browser.page("conflicts")));
    assert!(customer.contains("rings\nthrice\u{fffd}"), "{customer}");
    assert!(
        conflicts.contains("rings\ntwice\u{fffd}") && conflicts.contains("rings\nthrice\u{fffd}"),
        "{conflicts}"
    );
}

#[test]
fn an_edit_that_was_given_no_label_is_shown_with_none() {
    let till = till(3);
    let label = |label: &str| till.store().edit(1).set("notes", label).label(label).commit().unwrap();
    label("edit 2026-11-27T16:04:19.964Z");
    label("edit of the menu");
    let inspector = options(&till).start().unwrap();
    let page = words(&Browser::open(&inspector).page("customer?id=1"));
    assert!(page.contains("for edit of the menu") && !page.contains("for edit 2026"), "{page}");
}

/// Whatever is sent, it is a page of ours that says what to do.
#[test]
fn a_form_that_cannot_be_read_is_told_in_words() {
    let inspector = options(&busy_till()).start().unwrap();
    let browser = Browser::open(&inspector);
    let long = browser.send("refused", &[("act", "correct"), ("value", &"x".repeat(3_000_000))]);
    assert!(long.status == 413 && long.body.contains("is too long"), "{long:?}");
    let (place, port) = (&browser.place, browser.port);
    let origin = format!("http://{}", host(port));
    let headers = [
        ("Host", &*host(port)),
        ("Cookie", &browser.cookie),
        ("Origin", &origin),
        ("Content-Type", "text/plain"),
    ];
    let odd = ask(port, "POST", &format!("{place}refused"), &headers, "act=correct");
    assert!(odd.status == 415 && odd.body.contains("could not be read, so nothing was done"), "{odd:?}");
}

#[test]
fn what_was_typed_stands_on_the_page_that_tells_of_a_file_that_was_moved_away() {
    let till = busy_till();
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    let seen = browser.hidden("refused", "already in use");
    std::fs::rename(&till.path, till.path.with_extension("away")).unwrap();
    let answer =
        browser.send("refused", &with(&seen, &[("act", "correct"), ("value", "<b>olena@example.com")]));
    assert_eq!(answer.status, 500);
    let kept = between(&answer.body, "<textarea id=\"kept\"", "</textarea>");
    assert!(kept.ends_with("&lt;b&gt;olena@example.com"), "{answer:?}");
}

#[test]
fn a_file_that_was_moved_away_is_told_with_what_to_do() {
    let till = busy_till();
    let inspector = options(&till).start().unwrap();
    let browser = Browser::open(&inspector);
    browser.page("overview");
    std::fs::rename(&till.path, till.path.with_extension("away")).unwrap();
    let answer = browser.get("overview");
    assert_eq!(answer.status, 500);
    assert!(
        answer.body.contains("The file cannot be read") && answer.body.contains("-wal"),
        "{}",
        answer.body
    );
    std::fs::rename(till.path.with_extension("away"), &till.path).unwrap();
    browser.page("overview");
}

// ---- the command -------------------------------------------------------------------------------------------------

#[test]
fn the_command_prints_an_address_and_serves() {
    let till = busy_till();
    let mut child = till.command(["inspect", "--no-open"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let told: serde_json::Value = serde_json::from_str(&line).unwrap();
    let browser = Browser::at(told["url"].as_str().unwrap());
    assert_eq!(told["port"], browser.port);
    assert!(browser.page("overview").contains("3 edits"));
    browser.send("sync", &[]);
    soon(|| browser.page("syncs").contains("went up"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(till.run(["inspect", "--no-open", "--port", &till.sandbox.port().to_string()]).exit, Some(1));
}

// ---- a browser ---------------------------------------------------------------------------------------------------

/// Each task from opening the page to the store's own word; by the keyboard alone, without script, in two tabs, beside a worker.
#[test]
#[allow(clippy::print_stderr, reason = "what did not run is said")]
fn a_person_does_all_of_it_in_a_browser() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let selenium = root.join("target/selenium");
    let runs =
        |program: &str| Command::new(program).arg("--version").output().is_ok_and(|it| it.status.success());
    let is_there = selenium.exists() && root.join("target/axe/axe.min.js").exists();
    if !is_there || !["chromium", "chromedriver", "python3"].into_iter().all(runs) {
        return eprintln!("NOT RUN: no chromium, chromedriver, selenium or axe; .ci/run fetches them");
    }
    let mut tasks = Command::new("python3");
    tasks
        .arg(root.join("tests/inspect/tasks.py"))
        .arg(env!("CARGO_BIN_EXE_tillsync"))
        .env("PYTHONPATH", selenium);
    let done = tasks.output().unwrap();
    let [told, why] = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(done.status.success(), "{told}\n{why}");
}
