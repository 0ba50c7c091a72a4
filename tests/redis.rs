//! Tills that share a store's quota and its slots over a real server of Redis: Debian's package `redis-server`, on a free port of
//! loopback. Where there is none, each test says that it did not run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test may panic, and says what it does not do"
)]

mod common;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::Till;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tillsync::fleet::{Fleet, FleetOptions, RedisFleet, RedisOptions, Slot, Standing, Turn, Wants};
use tillsync::sandbox::{Sandbox, SandboxOptions};
use tillsync::{Event, Fate, RateHeaders, Roots, SyncEngine, SyncReport, Syncer, SyncerOptions, Ticket};

/// A server of its own, which ends with the test.
struct Server {
    child: Child,
    port: u16,
    arguments: Vec<String>,
    folder: tempfile::TempDir,
}

impl Server {
    /// None: there is no such program here.
    fn start() -> Option<Server> {
        let port = free_port();
        Server::with(tempfile::tempdir().unwrap(), port, &["--port", &port.to_string()])
    }

    /// Over TLS, and over nothing else, with a certificate for `localhost` by an authority that nobody else knows.
    fn start_tls() -> Option<Server> {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        make_certificate(folder.path());
        let text = port.to_string();
        let keys = ["--tls-cert-file", "server.pem", "--tls-key-file", "server.key"];
        let more = ["--tls-ca-cert-file", "shop.pem", "--tls-auth-clients", "no"];
        Server::with(folder, port, &[&["--port", "0", "--tls-port", &text], &keys[..], &more[..]].concat())
    }

    fn with(folder: tempfile::TempDir, port: u16, arguments: &[&str]) -> Option<Server> {
        let usual = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let arguments: Vec<String> = usual.iter().chain(arguments).map(ToString::to_string).collect();
        let Ok(child) = spawn(&folder, &arguments) else {
            eprintln!("NOT RUN: there is no redis-server");
            return None;
        };
        let server = Server { child, port, arguments, folder };
        server.wait_until_it_listens();
        Some(server)
    }

    fn wait_until_it_listens(&self) {
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "redis-server does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// It dies, and another one begins with what was last saved.
    fn set_back(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        std::thread::sleep(Duration::from_secs(2));
        self.child = spawn(&self.folder, &self.arguments).unwrap();
        self.wait_until_it_listens();
    }

    /// Nothing of it goes on for so long, and its connections stay.
    fn hang(&self, time: Duration) {
        let tell = |what: &str| {
            assert!(
                Command::new("kill").args([what, &self.child.id().to_string()]).status().unwrap().success()
            );
        };
        tell("-STOP");
        std::thread::sleep(time);
        tell("-CONT");
    }

    /// As an operator speaks to it.
    fn cli(&self, words: &[&str]) -> String {
        let said = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(words).output();
        String::from_utf8_lossy(&said.unwrap().stdout).trim().to_owned()
    }

    fn options(&self) -> RedisOptions {
        RedisOptions::new(format!("redis://127.0.0.1:{}", self.port), "abc123")
    }

    fn till(&self) -> RedisFleet {
        RedisFleet::new(self.options()).unwrap()
    }
}

fn spawn(folder: &tempfile::TempDir, arguments: &[String]) -> std::io::Result<Child> {
    Command::new("redis-server").args(arguments).current_dir(folder.path()).stdout(Stdio::null()).spawn()
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A made-up authority, `shop.pem`, and what a server shows that it has signed.
fn make_certificate(folder: &std::path::Path) {
    let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::default());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "the shop's own");
    let authority = params.self_signed(&key).unwrap().pem();
    let (issuer, own) = (Issuer::new(params, key), KeyPair::generate().unwrap());
    let server =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&own, &issuer).unwrap();
    std::fs::write(folder.join("shop.pem"), authority).unwrap();
    std::fs::write(folder.join("server.pem"), server.pem()).unwrap();
    std::fs::write(folder.join("server.key"), own.serialize_pem()).unwrap();
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn told(left: u64, reset_ms: u64, quota: u64) -> RateHeaders {
    RateHeaders {
        left: Some(left),
        reset_ms: Some(reset_ms),
        quota: Some(quota),
        window_ms: Some(30_000),
        ..RateHeaders::default()
    }
}

/// A window that ends then, however slow this machine is.
fn until(ends: Instant, left: u64, quota: u64) -> RateHeaders {
    told(left, ends.saturating_duration_since(Instant::now()).as_millis() as u64, quota)
}

fn calls(turn: Turn) -> u32 {
    if let Turn::Now { calls, .. } = turn { calls } else { 0 }
}

#[test]
fn what_is_left_of_a_window_is_granted_once_and_what_is_kept_for_others_is_not() {
    let Some(server) = Server::start() else { return };
    let mut tills: Vec<RedisFleet> = (0..5).map(|_| server.till()).collect();
    tills[0].answered(&told(20, 20_000, 100), None);
    let granted: Vec<u32> = tills.iter_mut().map(|till| calls(till.turn(Wants::Edits, 4))).collect();
    assert_eq!(granted, [4, 4, 2, 0, 0], "ten of a hundred are kept");
    let Turn::Later { in_ms } = tills[3].turn(Wants::Edits, 4) else { panic!("there is nothing left") };
    assert!((15_000..25_000).contains(&in_ms), "the next window: {in_ms} ms");
    tills[2].done();
    assert_eq!(calls(tills[4].turn(Wants::Edits, 2)), 0, "another one has waited for longer");
    assert_eq!(calls(tills[3].turn(Wants::Edits, 2)), 2, "what was given back is granted anew");
    tills[0].done();
    assert_eq!(calls(tills[4].turn(Wants::Edits, 4)), 4);
}

#[test]
fn an_answer_that_comes_late_gives_no_budget_back_and_an_answered_call_is_no_longer_out() {
    let Some(server) = Server::start() else { return };
    let (mut one, mut other) = (server.till(), server.till());
    let ends = Instant::now() + Duration::from_secs(25);
    one.answered(&until(ends, 50, 100), None);
    one.answered(&until(ends, 60, 100), None);
    assert_eq!(calls(one.turn(Wants::Edits, 40)), 40, "fifty are left, of which ten are kept");
    assert_eq!(calls(other.turn(Wants::Edits, 2)), 0);
    for left in (30..50).rev() {
        one.answered(&until(ends, left, 100), None);
    }
    assert_eq!(calls(other.turn(Wants::Edits, 2)), 0, "twenty are out, and thirty are left");
    one.done();
    assert_eq!(calls(other.turn(Wants::Edits, 40)), 20);
}

#[test]
fn edits_go_before_news() {
    let Some(server) = Server::start() else { return };
    let (mut news, mut edits, mut first) = (server.till(), server.till(), server.till());
    first.answered(&told(0, 1_000, 100), None);
    assert_eq!(calls(news.turn(Wants::News, 90)), 0);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(calls(edits.turn(Wants::Edits, 88)), 0);
    first.answered(&told(100, 30_000, 100), None);
    assert_eq!(calls(news.turn(Wants::News, 90)), 88, "two are for who is ahead");
    assert_eq!(calls(edits.turn(Wants::Edits, 2)), 2);
}

#[test]
fn three_updates_have_a_slot_and_whoever_waits_longest_has_the_next() {
    let Some(server) = Server::start() else { return };
    let mut tills: Vec<RedisFleet> = (0..6).map(|_| server.till()).collect();
    let held: Vec<bool> = tills.iter_mut().map(|till| till.slot(Ticket(1)) == Slot::Held).collect();
    assert_eq!(held, [true, true, true, false, false, false]);
    assert_eq!(tills[0].slot(Ticket(1)), Slot::Held, "it goes on holding it");
    tills[1].answered(&told(90, 9_000, 100), Some(Ticket(1)));
    assert!(matches!(tills[5].slot(Ticket(1)), Slot::Taken { for_ms: 1..=1_000 }));
    assert_eq!(tills[3].slot(Ticket(1)), Slot::Held);
}

#[test]
fn a_till_that_died_holds_nothing_for_long() {
    let Some(server) = Server::start() else { return };
    let short = RedisOptions { slot_held: Duration::from_millis(300), ..server.options() };
    let mut dead = RedisFleet::new(short).unwrap();
    (1..=3).for_each(|n| assert_eq!(dead.slot(Ticket(n)), Slot::Held));
    drop(dead);
    let mut other = server.till();
    assert!(matches!(other.slot(Ticket(1)), Slot::Taken { .. }));
    std::thread::sleep(Duration::from_millis(350));
    assert_eq!(other.slot(Ticket(1)), Slot::Held);
}

#[test]
fn without_a_server_a_till_is_alone_after_a_second_and_from_then_on_at_once() {
    let port = free_port();
    let mut till =
        RedisFleet::new(RedisOptions::new(format!("redis://:secret@127.0.0.1:{port}"), "abc")).unwrap();
    assert!(!format!("{till:?}").contains("secret"));
    let began = Instant::now();
    assert_eq!(till.turn(Wants::Edits, 2), Turn::Alone);
    assert!(began.elapsed() < Duration::from_millis(1_900), "{:?}", began.elapsed());
    let began = Instant::now();
    assert_eq!(till.slot(Ticket(1)), Slot::Alone);
    let Standing::Alone { for_ms } = till.standing() else { panic!("{:?}", till.standing()) };
    assert!((1..=30_000).contains(&for_ms), "{for_ms}");
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
}

/// Somebody listens and says nothing.
#[test]
fn a_server_that_does_not_answer_costs_half_a_second() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("redis://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let mut till = RedisFleet::new(RedisOptions::new(url, "abc")).unwrap();
    let began = Instant::now();
    assert_eq!(till.turn(Wants::Edits, 2), Turn::Alone);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

/// It says a little each time, and never enough.
#[test]
fn a_server_whose_answer_trickles_in_costs_half_a_second_too() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("redis://127.0.0.1:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let trickle = std::iter::once(&b"*2\r\n:"[..]).chain(std::iter::repeat(&b"0"[..]));
            for some in trickle.take(20) {
                _ = stream.write_all(some);
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    });
    let mut till = RedisFleet::new(RedisOptions::new(url, "abc")).unwrap();
    let began = Instant::now();
    assert_eq!(till.turn(Wants::Edits, 2), Turn::Alone);
    assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
}

#[test]
fn an_answer_that_does_not_end_is_read_no_further() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("redis://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let told = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"$100000000\r\n").unwrap();
        let some = [b'0'; 64 * 1024];
        (1..200).take_while(|_| stream.write_all(&some).is_ok()).last()
    });
    let options = RedisOptions { answer: Duration::from_secs(20), ..RedisOptions::new(url, "abc") };
    assert_eq!(RedisFleet::new(options).unwrap().turn(Wants::Edits, 2), Turn::Alone);
    assert!(told.join().unwrap() < Some(199), "it was all taken in");
}

/// The server ends connections that say nothing for a while, and so does what stands in between.
#[test]
fn a_connection_that_was_ended_meanwhile_is_opened_anew_and_nobody_goes_on_alone() {
    let Some(server) = Server::start() else { return };
    let mut till = server.till();
    till.answered(&told(50, 20_000, 100), None);
    assert_eq!(server.cli(&["CLIENT", "KILL", "TYPE", "normal"]), "1");
    assert_eq!(calls(till.turn(Wants::Edits, 2)), 2);
    assert_eq!(till.standing(), Standing::Together);
}

/// What stands in between has forgotten it, and says nothing: neither end knows.
#[test]
fn a_connection_that_died_in_silence_while_it_was_idle_is_opened_anew() {
    let Some(server) = Server::start() else { return };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("redis://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let is_forgotten = Arc::new(AtomicBool::new(false));
    let (port, forgets) = (server.port, is_forgotten.clone());
    std::thread::spawn(move || {
        for (nth, till) in listener.incoming().flatten().enumerate() {
            let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            let ends = [(&till, &server), (&server, &till)]
                .map(|(from, to)| (from.try_clone().unwrap(), to.try_clone().unwrap(), forgets.clone()));
            for (mut from, mut to, forgets) in ends {
                std::thread::spawn(move || {
                    let mut some = [0; 4096];
                    while let Ok(count @ 1..) = from.read(&mut some) {
                        if nth > 0 || !forgets.load(Ordering::SeqCst) {
                            _ = to.write_all(&some[..count]);
                        }
                    }
                });
            }
        }
    });
    let mut till = RedisFleet::new(RedisOptions::new(url, "abc123")).unwrap();
    till.answered(&told(50, 25_000, 100), None);
    is_forgotten.store(true, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(10_100));
    assert_eq!(calls(till.turn(Wants::Edits, 2)), 2);
    assert_eq!(till.standing(), Standing::Together);
}

/// An app may have several providers for TLS, and none that is the process's: it is not asked for one, nor given one.
#[test]
fn over_tls_with_a_made_up_authority_and_the_process_is_given_no_provider() {
    let Some(server) = Server::start_tls() else { return };
    let url = format!("rediss://localhost:{}", server.port);
    let till = |roots| {
        let mut till =
            RedisFleet::new(RedisOptions { roots, ..RedisOptions::new(url.as_str(), "abc123") }).unwrap();
        till.answered(&told(50, 20_000, 100), None);
        (calls(till.turn(Wants::Edits, 2)), till.standing() == Standing::Together)
    };
    assert_eq!(till(Roots::Pem(server.folder.path().join("shop.pem"))), (2, true));
    assert_eq!(till(Roots::System), (0, false), "who is not known is told nothing");
    assert_eq!(till(Roots::BuiltIn), (0, false));
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
    let none = RedisOptions {
        roots: Roots::Pem(PathBuf::from("none.pem")),
        ..RedisOptions::new(url.as_str(), "abc")
    };
    assert_eq!(RedisFleet::new(none).unwrap_err().code(), "usage");
}

#[test]
fn what_is_no_address_of_a_server_is_refused_without_being_told() {
    for url in
        ["http://:secret@localhost", "secret", "redis+unix:///secret", "rediss://:secret@host#insecure"]
    {
        let error = RedisFleet::new(RedisOptions::new(url, "abc")).unwrap_err();
        assert!(error.code() == "usage" && !error.to_string().contains("secret"), "{error}");
    }
}

/// As docs/fleet.md begins.
#[test]
fn a_worker_in_company_sends_an_edit() -> tillsync::Result<()> {
    let Some(server) = Server::start() else { return Ok(()) };
    let till = common::till(3);
    let (url, store_hash) = (format!("redis://127.0.0.1:{}", server.port), till.sandbox.store_hash());
    let (store, remote, options) = (till.store(), till.remote(), till.options.clone());
    let fleet = FleetOptions::new(url, store_hash).join()?;
    let engine = SyncEngine::new(store, remote, options).in_fleet(fleet);
    let (syncer, events) = Syncer::start(engine, SyncerOptions::default())?;
    while !matches!(events.next(common::SOON), None | Some(Event::SyncFinished(_))) {}
    let receipt = till.store().edit(1).set("phone", "555").commit()?;
    let fate = till.store().wait(&receipt, common::SOON)?;
    let said: Vec<Event> = std::iter::from_fn(|| events.next(Duration::ZERO)).collect();
    assert!(matches!(fate, Fate::Uploaded { .. }), "{fate:?}: {said:?}");
    assert!(syncer.stop(Duration::from_secs(5)));
    Ok(())
}

/// As docs/fleet.md has it.
#[test]
fn a_user_that_may_do_what_the_documents_say_is_enough() {
    let Some(server) = Server::start() else { return };
    let documents = std::fs::read_to_string("docs/fleet.md").unwrap();
    let rule = documents.lines().find(|line| line.starts_with("ACL SETUSER")).unwrap();
    assert_eq!(server.cli(&rule.split(' ').collect::<Vec<_>>()), "OK");
    let url = format!("redis://till:password@127.0.0.1:{}", server.port);
    let mut till = RedisFleet::new(RedisOptions::new(url, "abc123")).unwrap();
    till.answered(&told(50, 20_000, 100), None);
    assert_eq!(calls(till.turn(Wants::Edits, 2)), 2);
    assert_eq!(till.slot(Ticket(1)), Slot::Held);
    till.answered(&told(49, 20_000, 100), Some(Ticket(1)));
    till.done();
    assert_eq!(till.standing(), Standing::Together);
}

/// Tills on files of their own, over HTTP, on one store with a small quota, whose slots are counted over all of them: each has
/// edits, and all begin at once. How many calls were refused, and how long it took.
fn after_an_outage(tills: usize, server: Option<&Server>) -> (u64, Duration) {
    let options = SandboxOptions {
        customers: 10 * tills,
        quota: 16,
        window_ms: 2_000,
        latency_ms: 60,
        tolerated_refusals: 1_000,
        ..SandboxOptions::default()
    };
    let sandbox = Arc::new(Sandbox::start(options).unwrap());
    let ids = sandbox.ids();
    let tills: Vec<Till> = (0..tills).map(|_| Till::new(sandbox.clone())).collect();
    for (n, till) in tills.iter().enumerate() {
        till.engine().sync().unwrap();
        ids[6 * n..][..6].iter().for_each(|id| till.set(i64::from(*id), "phone", &format!("55{n}")));
    }
    std::thread::sleep(Duration::from_secs(2));
    let began = Instant::now();
    let push = |till: &Till| match server {
        Some(server) => till.engine().in_fleet(server.till()).push().unwrap(),
        None => till.engine().push().unwrap(),
    };
    let reports: Vec<SyncReport> = std::thread::scope(|scope| {
        let threads: Vec<_> = tills.iter().map(|till| scope.spawn(move || push(till))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(reports.iter().all(|report| report.uploaded_customers == 6));
    for (n, id) in ids.iter().take(6 * tills.len()).enumerate() {
        assert_eq!(tills[0].remote_value(i64::from(*id), "phone"), format!("\"55{}\"", n / 6));
    }
    (reports.iter().map(|report| report.rate_limited + report.slots_refused).sum(), began.elapsed())
}

#[test]
fn tills_with_edits_share_the_quota_and_the_slots_and_hardly_one_call_is_refused() {
    let Some(server) = Server::start() else { return };
    let (alone, together) = (after_an_outage(16, None), after_an_outage(16, Some(&server)));
    println!("alone {alone:?}, together {together:?}");
    assert!(3 * together.0 <= alone.0, "{together:?}, and alone {alone:?}");
}

/// The server goes away four seconds on: of so many tills, some still send by then.
#[test]
fn a_server_that_is_killed_in_the_middle_costs_no_edit() {
    let Some(server) = Server::start() else { return };
    let port = server.port;
    std::thread::scope(|scope| {
        let server_ref = &server;
        scope.spawn(move || after_an_outage(8, Some(server_ref)));
        scope.spawn(move || {
            std::thread::sleep(Duration::from_secs(4));
            let mut connection = redis_cli(port);
            _ = connection.wait();
        });
    });
}

/// Ends it, as an operator would.
fn redis_cli(port: u16) -> Child {
    let shutdown = ["-p", &port.to_string(), "shutdown", "nosave", "force"];
    Command::new("redis-cli").args(shutdown).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// What befalls the server while tills are at work, and what the store and the tills have then: each edit, and each payment once.
#[test]
fn whatever_befalls_the_server_nothing_is_lost_and_nothing_is_there_twice() {
    const TILLS: usize = 6;
    const ROUNDS: usize = 8;
    let Some(mut server) = Server::start() else { return };
    let sandbox = SandboxOptions {
        customers: 3 * TILLS,
        quota: 20,
        window_ms: 2_000,
        latency_ms: 40,
        tolerated_refusals: 10_000,
        ..SandboxOptions::default()
    };
    let sandbox = Arc::new(Sandbox::start(sandbox).unwrap());
    let ids: Vec<i64> = sandbox.ids().into_iter().map(i64::from).collect();
    let tills: Vec<Till> = (0..TILLS).map(|_| Till::new(sandbox.clone())).collect();
    tills.iter().for_each(|till| _ = till.engine().sync().unwrap());
    let balance = |till: &Till, id| {
        let told: serde_json::Value =
            serde_json::from_str(&till.remote_value(id, "store_credit_amounts")).unwrap();
        told[0]["amount"].as_f64().unwrap_or(0.0)
    };
    let before: Vec<f64> = ids.iter().map(|id| balance(&tills[0], *id)).collect();
    let options = RedisOptions { alone: Duration::from_millis(600), ..server.options() };
    let work = |nth: usize, till: &Till| {
        let fleet =
            RedisFleet::new(RedisOptions { store_hash: sandbox.store_hash().into(), ..options.clone() });
        let mut engine = till.engine().in_fleet(fleet.unwrap());
        let own = &ids[3 * nth..][..3];
        for round in 0..ROUNDS {
            own.iter().for_each(|id| till.set(*id, "phone", &format!("55{nth}-{round}")));
            own.iter().for_each(|id| till.adjust(*id, "1.25"));
            let report = engine.push().unwrap();
            assert_eq!(report.uploaded_customers, 3, "till {nth}, round {round}");
            std::thread::sleep(Duration::from_millis(300));
        }
    };
    let (began, is_over) = (Instant::now(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let befalls = scope.spawn(|| {
            let mut nth = 0;
            while !is_over.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1_200));
                match nth % 5 {
                    0 => assert_eq!(server.cli(&["SAVE"]), "OK"),
                    1 => assert_eq!(server.cli(&["FLUSHALL"]), "OK"),
                    2 => assert_eq!(server.cli(&["CLIENT", "PAUSE", "1500", "ALL"]), "OK"),
                    3 => server.hang(Duration::from_millis(1_500)),
                    _ => server.set_back(),
                }
                nth += 1;
            }
            nth
        });
        let threads: Vec<_> =
            tills.iter().enumerate().map(|(nth, till)| scope.spawn(move || work(nth, till))).collect();
        let done: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        is_over.store(true, Ordering::SeqCst);
        let befell = befalls.join().unwrap();
        assert!(done.iter().all(Result::is_ok), "a till failed");
        println!("{befell} things befell it in {:?}", began.elapsed());
        assert!(befell >= 5, "only {befell}");
    });
    assert!(began.elapsed() < Duration::from_secs(180), "{:?}", began.elapsed());
    for (place, id) in ids.iter().enumerate() {
        let (nth, till) = (place / 3, &tills[place / 3]);
        assert_eq!(till.remote_value(*id, "phone"), format!("\"55{nth}-{}\"", ROUNDS - 1));
        assert_eq!(balance(till, *id), before[place] + 1.25 * ROUNDS as f64, "customer {id}");
        assert_eq!(till.store().status().unwrap().unsent, 0);
    }
    tills[0].assert_no_violations();
}

/// Over TLS, and as a user that may no more than the documents say, on keys of its own store.
#[cfg(feature = "cli")]
#[test]
fn the_command_speaks_over_tls_as_a_user_that_is_limited_to_its_keys() {
    let Some(server) = Server::start_tls() else { return };
    let till = common::till(3);
    till.engine().sync().unwrap();
    let roots = server.folder.path().join("shop.pem");
    let roots = roots.to_str().unwrap();
    let documents = std::fs::read_to_string("docs/fleet.md").unwrap();
    let rule = documents.lines().find(|line| line.starts_with("ACL SETUSER")).unwrap();
    let own = rule.replace("~tillsync:*", &format!("~tillsync:{{{}}}:*", till.sandbox.store_hash()));
    assert!(own != rule);
    let tls = ["--tls", "--cacert", roots];
    assert_eq!(server.cli(&[&tls[..], &own.split(' ').collect::<Vec<_>>()].concat()), "OK");
    let sync = |url: &str, store_hash: &str| {
        till.set(1, "phone", "555");
        let url = url.replace("HOST", &format!("localhost:{}", server.port));
        let ran = till.run(["fleet", "--fleet", &url, "--roots", roots, "--store-hash", store_hash]);
        let synced = till.run(["sync", "--fleet", &url, "--roots", roots]);
        assert_eq!(synced.exit, Some(0), "{synced:?}");
        (ran.exit, till.run(["status"]).json["fleet"]["reachable"].clone())
    };
    let hash = till.sandbox.store_hash().to_owned();
    assert_eq!(sync("rediss://till:password@HOST", &hash), (Some(0), true.into()));
    assert_eq!(sync("rediss://till:wrong@HOST", &hash), (Some(4), false.into()), "another password");
    assert_eq!(sync("redis://till:password@HOST", &hash), (Some(4), false.into()), "in the clear");
    let other = sync("rediss://till:password@HOST", "otherstore");
    assert_eq!(other.0, Some(4), "keys of another store");
}

/// Whatever tills do in whatever order: never more is granted than the store has, less what is kept for others.
#[test]
fn in_any_order_no_more_is_granted_than_there_is() {
    let Some(server) = Server::start() else { return };
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        let options = RedisOptions { store_hash: format!("seed{seed}"), ..server.options() };
        let mut tills: Vec<RedisFleet> = (0..6).map(|_| RedisFleet::new(options.clone()).unwrap()).collect();
        // What the store has left, what each till may still send, and answers that are on their way, with what they tell.
        let (mut left, mut granted, mut answers) = (200, [0; 6], Vec::new());
        let ends = Instant::now() + Duration::from_secs(25);
        tills[0].answered(&until(ends, left, 200), None);
        for _ in 0..250 {
            let one = random.usize(..6);
            match random.u8(..10) {
                0..4 => granted[one] = calls(tills[one].turn(Wants::Edits, random.u32(1..9))),
                4..7 if granted[one] > 0 => {
                    (granted[one], left) = (granted[one] - 1, left - 1);
                    answers.push((one, left));
                }
                7..9 if !answers.is_empty() => {
                    let (of, told_left) = answers.swap_remove(random.usize(..answers.len()));
                    tills[of].answered(&until(ends, told_left, 200), None);
                }
                _ if random.u8(..5) == 0 => {
                    tills[one].done();
                    granted[one] = 0;
                }
                _ => {}
            }
            // A call that is on its way when its till asks anew is counted as if it had never left: so many may be too many.
            let out = u64::from(granted.iter().sum::<u32>());
            assert!(out + 20 <= left + answers.len() as u64, "seed {seed}: {out} of {left}");
        }
    }
}

/// Says anything: turns for nothing, slots that others never free, nobody there.
#[derive(Debug)]
struct Liar(fastrand::Rng);

impl Fleet for Liar {
    fn turn(&mut self, _: Wants, _: u32) -> Turn {
        match self.0.u8(..4) {
            0 => Turn::Later { in_ms: [0, 1, 300][self.0.usize(..3)] },
            1 => Turn::Now { calls: 0, for_ms: u64::MAX },
            2 => Turn::Now { calls: u32::MAX, for_ms: [0, u64::MAX][self.0.usize(..2)] },
            _ => Turn::Alone,
        }
    }

    fn slot(&mut self, _: Ticket) -> Slot {
        match self.0.u8(..3) {
            0 => Slot::Taken { for_ms: [0, 50, u64::MAX][self.0.usize(..3)] },
            1 => Slot::Held,
            _ => Slot::Alone,
        }
    }

    fn answered(&mut self, _: &RateHeaders, _: Option<Ticket>) {}

    fn done(&mut self) {}
}

#[test]
fn a_fleet_that_lies_costs_time_and_no_edit() {
    for seed in 0..4 {
        let till = common::till(40);
        till.engine().sync().unwrap();
        let ids = till.sandbox.ids();
        ids.iter().for_each(|id| till.set(i64::from(*id), "phone", "555"));
        let mut engine = till.engine().in_fleet(Liar(fastrand::Rng::with_seed(seed)));
        assert_eq!(engine.sync().unwrap().uploaded_customers, 40, "seed {seed}");
        assert_eq!(till.puts().len(), 4, "seed {seed}: each is sent once");
        till.assert_no_violations();
    }
}

/// Has turns for edits, and none for news while it is told to.
#[derive(Debug)]
struct EditsOnly(Arc<AtomicBool>);

impl Fleet for EditsOnly {
    fn turn(&mut self, wants: Wants, calls: u32) -> Turn {
        match wants == Wants::News && self.0.load(Ordering::SeqCst) {
            true => Turn::Later { in_ms: 60_000 },
            false => Turn::Now { calls, for_ms: 10_000 },
        }
    }

    fn slot(&mut self, _: Ticket) -> Slot {
        Slot::Held
    }

    fn answered(&mut self, _: &RateHeaders, _: Option<Ticket>) {}

    fn done(&mut self) {}
}

/// While nobody waits for it, it is for another time.
#[test]
fn news_that_waits_for_its_turn_gives_way_to_an_edit_that_comes_meanwhile() {
    let (till, is_told) = (common::till(3), Arc::new(AtomicBool::new(false)));
    till.engine().sync().unwrap();
    let engine = till.engine().in_fleet(EditsOnly(is_told.clone()));
    let options = SyncerOptions { every: Duration::from_millis(500), ..SyncerOptions::default() };
    let (syncer, events) = Syncer::start(engine, options).unwrap();
    while !matches!(events.next(common::SOON), None | Some(Event::SyncFinished(_))) {}
    is_told.store(true, Ordering::SeqCst);
    // News is due by then, and waits.
    std::thread::sleep(Duration::from_secs(2));
    let began = Instant::now();
    let receipt = till.store().edit(1).set("phone", "555").commit().unwrap();
    let fate = till.store().wait(&receipt, common::SOON).unwrap();
    assert!(matches!(fate, Fate::Uploaded { .. }), "{fate:?}");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    syncer.stop(Duration::from_secs(5));
    till.assert_no_violations();
}

/// Somebody waits for it: it goes as the edits behind it do.
#[test]
fn a_sync_that_waits_for_its_turn_is_as_urgent_as_the_edits_that_come_meanwhile() {
    let (till, is_told) = (common::till(3), Arc::new(AtomicBool::new(true)));
    till.engine().sync().unwrap();
    let mut engine = till.engine().in_fleet(EditsOnly(is_told));
    let began = Instant::now();
    let report = std::thread::scope(|scope| {
        let sync = scope.spawn(|| engine.sync().unwrap());
        std::thread::sleep(Duration::from_secs(1));
        till.set(1, "phone", "555");
        sync.join().unwrap()
    });
    assert_eq!((report.uploaded_customers, report.incomplete), (1, None));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

/// Its first slot takes longer to be asked for than what was looked at is good for.
#[derive(Debug)]
struct Slow(bool);

impl Fleet for Slow {
    fn turn(&mut self, _: Wants, calls: u32) -> Turn {
        Turn::Now { calls, for_ms: 10_000 }
    }

    fn slot(&mut self, _: Ticket) -> Slot {
        if std::mem::take(&mut self.0) {
            std::thread::sleep(Duration::from_millis(2_500));
        }
        Slot::Held
    }

    fn answered(&mut self, _: &RateHeaders, _: Option<Ticket>) {}

    fn done(&mut self) {}
}

#[test]
fn what_was_looked_at_before_a_slot_was_asked_for_too_slowly_is_looked_at_anew() {
    let mut till = common::till(3);
    till.options.upload.fresh_ms = 1_000;
    till.engine().sync().unwrap();
    till.set(1, "phone", "555");
    let report = till.engine().in_fleet(Slow(true)).push().unwrap();
    assert_eq!((report.uploaded_customers, report.requests.get, till.puts().len()), (1, 2, 1));
}

#[test]
fn who_looks_sees_who_is_there_and_changes_nothing() {
    let Some(server) = Server::start() else { return };
    let mut tills: Vec<RedisFleet> = (0..5).map(|_| server.till()).collect();
    let empty = server.till().look().unwrap();
    assert_eq!((empty.quota, empty.count, empty.tills.len()), (None, 0, 0));
    tills[0].answered(&told(40, 20_000, 100), None);
    assert_eq!(calls(tills[0].turn(Wants::Edits, 30)), 30);
    assert_eq!(calls(tills[1].turn(Wants::Edits, 8)), 0);
    tills.iter_mut().for_each(|till| _ = till.slot(Ticket(7)));
    let before = server.cli(&["DBSIZE"]);
    for _ in 0..2 {
        let seen = server.till().look().unwrap();
        assert_eq!((seen.quota, seen.left, seen.window_ms), (Some(100), Some(40), Some(30_000)));
        assert!(seen.ends_in_ms.is_some_and(|ms| (1_000..=20_000).contains(&ms)), "{seen:?}");
        assert_eq!((seen.granted, seen.count, seen.slots.len(), seen.waiting_for_slots), (30, 2, 3, 2));
        let mut calls: Vec<u64> = seen.tills.iter().map(|till| till.calls).collect();
        calls.sort_unstable();
        assert_eq!(calls, [0, 30]);
        let waiting: Vec<bool> = seen.tills.iter().map(|till| till.waits_ms.is_some()).collect();
        assert_eq!(waiting.iter().filter(|waits| **waits).count(), 1);
        assert!(seen.slots.iter().all(|slot| (60_000..=65_000).contains(&slot.for_ms)), "{seen:?}");
    }
    assert_eq!(server.cli(&["DBSIZE"]), before);
    tills[0].done();
    assert_eq!(server.till().look().unwrap().granted, 0);
}

#[cfg(feature = "cli")]
#[test]
fn the_command_joins_a_fleet_and_tells_how_it_stands() {
    let Some(server) = Server::start() else { return };
    let till = common::till(3);
    till.engine().sync().unwrap();
    till.set(1, "phone", "555");
    let url = format!("redis://127.0.0.1:{}", server.port);
    let run = |words: &[&str]| till.run([words, &["--fleet", &url]].concat());
    assert_eq!(till.run(["status"]).json.get("fleet"), None, "it was in no company");
    let synced = run(&["sync"]);
    assert_eq!((synced.exit, &synced.json["uploaded_customers"]), (Some(0), &1.into()), "{synced:?}");
    let status = till.run(["status"]).json;
    let fleet = &status["fleet"];
    assert_eq!((&fleet["reachable"], &fleet["refused"]), (&true.into(), &0.into()), "{status}");
    assert!(fleet["granted"].as_u64() >= Some(2) && fleet["alone_until"].is_null(), "{status}");
    let shown = run(&["fleet"]);
    assert_eq!(
        (shown.exit, &shown.json["server"], &shown.json["count"]),
        (Some(0), &url.clone().into(), &1.into())
    );
    assert_eq!(
        (&shown.json["quota"], shown.json["slots"].as_array().map(Vec::len)),
        (&1_000_000.into(), Some(0))
    );
    let check = |ran: &common::command::Ran| {
        let checks = ran.json["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["name"] == "fleet").unwrap()
    };
    let doctor = run(&["doctor"]);
    assert!(check(&doctor)["detail"].as_str().unwrap().contains("1 till within"), "{doctor:?}");

    drop(server);
    till.set(1, "phone", "556");
    let synced = run(&["sync"]);
    assert_eq!((synced.exit, &synced.json["uploaded_customers"]), (Some(0), &1.into()), "{synced:?}");
    let status = till.run(["status"]).json;
    assert!(status["fleet"]["reachable"] == false && status["fleet"]["alone_until"].is_string(), "{status}");
    let doctor = run(&["doctor"]);
    assert_eq!((doctor.exit, &check(&doctor)["ok"]), (Some(3), &false.into()), "{doctor:?}");
    let shown = run(&["fleet"]);
    assert_eq!((shown.exit, shown.code()), (Some(4), "no_fleet"));
    assert_eq!((till.run(["fleet"]).exit, till.run(["sync"]).exit), (Some(2), Some(0)));
    assert_eq!(till.run(["status"]).json.get("fleet"), None, "it has left");
}

/// Neither by the flag nor by the environment, refused or not, and whatever is logged.
#[cfg(feature = "cli")]
#[test]
fn the_password_of_a_fleet_is_told_to_nobody() {
    let Some(server) = Server::start() else { return };
    let till = common::till(3);
    till.engine().sync().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let at = format!("127.0.0.1:{}", server.port);
    let commands: [&[&str]; 7] = [
        &["sync"],
        &["push"],
        &["fleet"],
        &["doctor"],
        &["status"],
        &["report", report.to_str().unwrap()],
        &["inspect", "--port", "none"],
    ];
    // It has no password: that one is given is an error of its own.
    for url in [
        format!("redis://ana:hunter2@{at}"),
        format!("rediss://ana:hunter2@{at}/1"),
        format!("http://ana:hunter2@{at}"),
    ] {
        for (nth, words) in commands.iter().enumerate() {
            till.set(1, "phone", &format!("555-{nth}"));
            _ = std::fs::remove_file(&report);
            for by_flag in [true, false] {
                let mut command = till.command(words.iter().copied());
                match by_flag {
                    true => command.args(["--fleet", &url]),
                    false => command.env("TILLSYNC_FLEET", &url),
                };
                let ran = command.env("TILLSYNC_LOG", "trace").stderr(Stdio::piped()).output().unwrap();
                let said = [ran.stdout, ran.stderr, std::fs::read(&report).unwrap_or_default()].concat();
                let said = String::from_utf8_lossy(&said);
                assert!(!said.contains("hunter2") && !said.contains("panicked"), "{words:?}: {said}");
                _ = std::fs::remove_file(&report);
            }
        }
    }
    let kept = std::fs::read_dir(till.folder.path()).unwrap().map(|file| std::fs::read(file.unwrap().path()));
    assert!(kept.flatten().all(|bytes| !bytes.windows(7).any(|some| some == b"hunter2")));
}

/// Tells everybody to wait.
#[derive(Debug)]
struct Miser;

impl Fleet for Miser {
    fn turn(&mut self, _: Wants, _: u32) -> Turn {
        Turn::Later { in_ms: 60_000 }
    }

    fn slot(&mut self, _: Ticket) -> Slot {
        Slot::Taken { for_ms: 60_000 }
    }

    fn answered(&mut self, _: &RateHeaders, _: Option<Ticket>) {}

    fn done(&mut self) {}
}

#[test]
fn a_till_that_waits_for_its_turn_can_be_stopped() {
    let till = common::till(3);
    let mut engine = till.engine().in_fleet(Miser);
    let stopper = engine.stopper();
    let began = Instant::now();
    let stops = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        stopper.stop();
    });
    assert_eq!(engine.sync().unwrap_err().code(), "stopped");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    stops.join().unwrap();
}
