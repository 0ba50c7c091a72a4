//! Who the store is, and what stands in between: certificates that are not to be trusted, authorities, proxies. Over real TLS.
#![cfg(all(feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use common::{Till, till};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use tillsync::{HttpOptions, HttpRemote, Roots, SyncEngine};

/// A shop's own authority.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Authority {
        let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::default());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the shop's own");
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// A server with a certificate for `host`, good in these years; answers every request with an empty list. Returns its URL.
    fn serve(&self, host: &str, years: (i32, i32)) -> String {
        self.serve_counted(host, years).0
    }

    /// The same, and how often somebody has connected to it.
    fn serve_counted(&self, host: &str, years: (i32, i32)) -> (String, Arc<AtomicUsize>) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("localhost:0").unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let connection = ServerConnection::new(config.clone()).unwrap();
                std::thread::spawn(move || answer(&mut StreamOwned::new(connection, stream)));
            }
        });
        (url, connections)
    }
}

/// Until the other side has had enough.
fn answer(stream: &mut (impl Read + Write)) {
    const EMPTY: &str = r#"{"data":[],"meta":{"pagination":{"total":0}}}"#;
    let (mut asked, mut byte) = (Vec::new(), [0]);
    while stream.read_exact(&mut byte).is_ok() {
        asked.push(byte[0]);
        if asked.ends_with(b"\r\n\r\n") {
            asked.clear();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{EMPTY}", EMPTY.len());
            if stream.write_all(head.as_bytes()).and_then(|()| stream.flush()).is_err() {
                return;
            }
        }
    }
}

fn pem(till: &Till, authority: &Authority) -> PathBuf {
    let path = till.folder.path().join("shop.pem");
    std::fs::write(&path, &authority.pem).unwrap();
    path
}

#[test]
fn a_certificate_that_is_not_to_be_trusted_stops_at_once_and_says_which() {
    let till = till(3);
    till.set(1, "phone", "555-0142");
    let (shop, stranger) = (Authority::new(), Authority::new());
    for ((url, connections), words) in [
        (shop.serve_counted("localhost", (2001, 2002)), "has expired"),
        (shop.serve_counted("localhost", (2090, 2091)), "not valid yet"),
        (shop.serve_counted("store.example.com", (2001, 2090)), "of another host"),
        (stranger.serve_counted("localhost", (2001, 2090)), "that this till does not know"),
    ] {
        let options = HttpOptions {
            api_url: url.clone(),
            roots: Roots::Pem(pem(&till, &shop)),
            ..HttpOptions::new(till.sandbox.store_hash(), "token")
        };
        let remote = HttpRemote::new(&options).unwrap();
        let error = SyncEngine::new(till.store(), remote, till.options.clone()).sync().unwrap_err();
        assert_eq!(error.code(), "certificate", "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.hint().unwrap().contains("clock"));
        assert_eq!(connections.load(Ordering::SeqCst), 1, "it was tried again");
        assert_eq!(till.store().status().unwrap().pending_fields, 1);

        let roots = pem(&till, &shop);
        let flags = ["--api-url", &url, "--roots", roots.to_str().unwrap()];
        let ran = till.run(["sync"].into_iter().chain(flags));
        assert_eq!((ran.exit, ran.code()), (Some(4), "certificate"), "{ran:?}");
        let doctor = till.run(["doctor"].into_iter().chain(flags));
        let checks = doctor.json["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == "certificate").unwrap();
        assert!(check["ok"] == false && check["detail"].as_str().unwrap().contains(words), "{check}");
    }
}

#[test]
fn an_authority_that_is_named_is_believed_and_the_others_are_not() {
    let till = till(3);
    let shop = Authority::new();
    let (url, pem) = (shop.serve("localhost", (2001, 2090)), pem(&till, &shop));
    let pull = |roots: &str| till.run(["pull", "--api-url", &url, "--roots", roots]);
    assert_eq!(pull("system").code(), "certificate");
    assert_eq!(pull("built-in").code(), "certificate");
    assert_eq!(pull(pem.to_str().unwrap()).code(), "");
    let edited = till.folder.path().join("edited.pem");
    std::fs::write(&edited, format!("\u{feff}{}", shop.pem)).unwrap();
    assert_eq!(pull(edited.to_str().unwrap()).code(), "");
    // As a system has it that trusts the shop's own.
    let mut command = till.command(["pull", "--api-url", &url]);
    assert_eq!(command.env("SSL_CERT_FILE", &pem).output().unwrap().status.code(), Some(0));
    for (wrong, words) in [("/nowhere.pem", "/nowhere.pem"), (till.path.to_str().unwrap(), "no certificate")]
    {
        let refused = pull(wrong);
        assert_eq!(refused.exit, Some(2));
        assert!(refused.json["error"]["message"].as_str().unwrap().contains(words), "{refused:?}");
    }
}

// ---- proxies -------------------------------------------------------------------------------------------------------

/// Something that hears what is asked of a proxy, and hangs up.
fn proxy() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let (heard, asked) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
            // The line may come in pieces.
            let mut line = Vec::new();
            _ = BufReader::new(&stream).read_until(b'\n', &mut line);
            _ = heard.send(String::from_utf8_lossy(&line).into_owned());
        }
    });
    (url, asked)
}

const VARIABLES: [&str; 6] =
    ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];

#[test]
fn no_proxy_is_asked_for_this_very_machine() {
    let till = till(3);
    let (url, asked) = proxy();
    let command = |arguments: &[&str]| {
        let mut command = till.command(arguments.iter().copied());
        VARIABLES.iter().for_each(|name| _ = command.env(name, &url));
        command.output().unwrap().status.code()
    };
    assert_eq!(command(&["pull"]), Some(0));
    assert_eq!(command(&["pull", "--proxy", &url]), Some(0));
    assert!(asked.try_recv().is_err(), "the token went to a proxy in the clear");
}

#[test]
fn a_proxy_is_that_of_the_environment_or_the_one_that_is_named_or_none() {
    let till = till(3);
    let ((environments, of_environment), (named, of_named)) = (proxy(), proxy());
    let command = |flags: &[&str]| {
        let far_away = ["pull", "--api-url", "https://api.example.invalid", "--timeout", "3"];
        let mut command = till.command(far_away.into_iter().chain(flags.iter().copied()));
        VARIABLES.iter().for_each(|name| _ = command.env(name, &environments));
        command.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
    };
    let heard = |asked: &Receiver<String>| {
        asked.try_iter().any(|line| line.starts_with("CONNECT api.example.invalid:443"))
    };
    command(&["--proxy", "none"]);
    assert!(!heard(&of_environment) && !heard(&of_named));
    command(&["--proxy", &named]);
    assert!(heard(&of_named) && !heard(&of_environment));
    command(&[]);
    assert!(heard(&of_environment));
    let far_away = ["pull", "--api-url", "https://api.example.invalid"];
    let refused = till.run([far_away.as_slice(), &["--proxy", "ana:hunter2@"]].concat());
    assert!(refused.exit == Some(2) && !refused.json.to_string().contains("hunter2"), "{refused:?}");
    for socks in ["socks5://127.0.0.1:9", "socks5h://127.0.0.1:9"] {
        let named = till.run([far_away.as_slice(), &["--proxy", socks]].concat());
        assert!(named.exit == Some(2) && named.json.to_string().contains("SOCKS"), "{named:?}");
        let mut command = till.command(far_away);
        let environments = command.env("ALL_PROXY", socks).env_remove("HTTPS_PROXY").output().unwrap();
        assert_eq!(environments.status.code(), Some(2), "{environments:?}");
    }
}

/// A till far from its store, with these variables and no others that name a proxy.
fn far_away(till: &Till, environment: &[(&str, &str)], flags: &[&str]) -> Value {
    let arguments = ["pull", "--api-url", "https://api.example.invalid", "--timeout", "3"];
    let mut command = till.command(arguments.into_iter().chain(flags.iter().copied()));
    VARIABLES.iter().chain(&["NO_PROXY", "no_proxy"]).for_each(|name| _ = command.env_remove(name));
    let output = command.envs(environment.iter().copied()).output().unwrap();
    let mut told: Value = serde_json::from_slice(&output.stdout).unwrap();
    told["exit"] = output.status.code().into();
    told
}

#[test]
fn a_proxy_of_the_environment_is_read_as_one_that_is_named_and_is_not_passed_over() {
    let till = till(3);
    let (url, asked) = proxy();
    let heard =
        |asked: &Receiver<String>| asked.try_iter().filter(|line| line.starts_with("CONNECT")).count() > 0;
    for text in [format!("{url} "), format!("{url}\r\n"), format!("\t{url}")] {
        far_away(&till, &[("ALL_PROXY", " "), ("HTTPS_PROXY", &text)], &[]);
        assert!(heard(&asked), "{text:?}");
    }
    let excepted = [("HTTPS_PROXY", &*url), ("NO_PROXY", "other.example, .example.invalid\n")];
    far_away(&till, &excepted, &[]);
    assert!(!heard(&asked));
    for wrong in [":::x", "http://[::1", "http://ana:hunter2@", "http://:8080"] {
        let told = far_away(&till, &[("HTTPS_PROXY", wrong), ("HTTP_PROXY", &url)], &[]);
        let message = told["error"]["message"].as_str().unwrap();
        assert!(
            told["exit"] == 2 && message.contains("HTTPS_PROXY") && !message.contains("hunter2"),
            "{told}"
        );
    }
    assert!(!heard(&asked), "another one was taken");
}

/// Something that gives everybody this status.
fn refusing_proxy(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        }
    });
    address.to_string()
}

#[test]
fn who_has_no_way_through_a_proxy_is_told_that_it_is_the_proxy() {
    let till = till(3);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (host, words) in [
        (nobody, "refused"),
        ("proxy.example.invalid:8080".to_owned(), "lookup"),
        (refusing_proxy("407 Proxy Authentication Required"), "a user and a password"),
        (refusing_proxy("403 Forbidden"), "status 403"),
    ] {
        let url = format!("http://ana:hunter2@{host}");
        for told in [far_away(&till, &[], &["--proxy", &url]), far_away(&till, &[("ALL_PROXY", &url)], &[])] {
            let [message, hint] = ["message", "hint"].map(|name| told["error"][name].as_str().unwrap());
            assert!(told["exit"] == 4 && told["error"]["code"] == "offline", "{told}");
            assert!(
                message.contains(&format!("through the proxy {host}: ")) && message.contains(words),
                "{told}"
            );
            assert!(hint.contains("--proxy") && hint.contains("HTTPS_PROXY"), "{told}");
            assert!(!told.to_string().contains("hunter2"), "{told}");
        }
    }
}
