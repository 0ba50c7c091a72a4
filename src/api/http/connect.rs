//! The client: through which proxy it goes, and whose word it believes on who the store is.

use secrecy::ExposeSecret;
use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Proxy, ProxyProtocol};

use super::THREADS;
use super::options::{HttpOptions, HttpProxy, Roots, is_loopback};
use crate::error::{Error, Failure, Result, is_out_of_descriptors};

pub(super) fn agent(options: &HttpOptions, url: &str) -> Result<Agent> {
    let timeout = options.timeout;
    let config = Agent::config_builder()
        .user_agent(concat!("tillsync/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(timeout))
        .timeout_connect(Some(timeout / 3))
        .timeout_resolve(Some(timeout / 3))
        .max_idle_connections_per_host(THREADS)
        .proxy(proxy(options, url)?);
    let config = match url.starts_with("https:") {
        true => config.tls_config(TlsConfig::builder().root_certs(roots(&options.roots)?).build()),
        false => config,
    };
    Ok(config.build().new_agent())
}

/// What is named of the way to the store can be what it should; what the environment and the system say may change.
pub(super) fn check_named(options: &HttpOptions, url: &str) -> Result<()> {
    if let HttpProxy::Url(_) = options.proxy {
        proxy(options, url)?;
    }
    if let Roots::Pem(_) = options.roots {
        roots(&options.roots)?;
    }
    Ok(())
}

/// Where the environment names a proxy. The first that names any counts.
const NAMING: [&str; 6] =
    ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
/// Where it says to whom one goes without.
const EXCEPTING: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// None for this very machine: what is sent in the clear is sent nowhere else.
fn proxy(options: &HttpOptions, url: &str) -> Result<Option<Proxy>> {
    let url = url.parse::<Uri>().unwrap_or_default();
    let proxy = match &options.proxy {
        _ if is_loopback(url.host().unwrap_or_default()) => None,
        HttpProxy::None => None,
        HttpProxy::Environment => match first_of(&NAMING).filter(|_| !is_excepted(&url)) {
            Some((name, text)) => Some(read_proxy(&text, &format!("the proxy in {name}"))?),
            None => None,
        },
        HttpProxy::Url(text) => Some(read_proxy(text.expose_secret(), "the proxy")?),
    };
    // The client would go around one that it does not speak to, or fail in the middle of a request.
    match proxy.as_ref().map(Proxy::protocol) {
        None | Some(ProxyProtocol::Http | ProxyProtocol::Https) => Ok(proxy),
        Some(_) => Err(Error::usage(
            "the proxy speaks SOCKS, which is not spoken here: name one by http:// or https://, or none (--proxy none)",
        )),
    }
}

/// The first of these variables that says anything, and what it says.
fn first_of(names: &[&'static str]) -> Option<(&'static str, String)> {
    names.iter().find_map(|name| {
        let text = std::env::var_os(name)?.to_string_lossy().trim().to_owned();
        (!text.is_empty()).then_some((*name, text))
    })
}

fn is_excepted(url: &Uri) -> bool {
    let (_, list) = first_of(&EXCEPTING).unwrap_or_default();
    list.split([',', ' ', '\t']).any(|entry| names(entry.trim(), url))
}

/// As other programs read it: `*` is everybody, and a name is a host and all below it, with or without a dot before it, of a port if it
/// has one.
fn names(entry: &str, url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']', '.']).to_ascii_lowercase();
    let is_port = |text: &str| text.parse() == Ok(url.port_u16().unwrap_or(443));
    let (entry, is_of_port) = match entry.rsplit_once(':') {
        Some((entry, port)) if !entry.contains(':') || entry.ends_with(']') => (entry, is_port(port)),
        _ => (entry, true),
    };
    let name = entry.trim_start_matches("*.").trim_matches(['[', ']', '.']).to_ascii_lowercase();
    let is_below = host.strip_suffix(&name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    is_of_port && (name == "*" || !name.is_empty() && is_below)
}

/// What is wrong with it is not repeated: it may hold a password.
fn read_proxy(text: &str, what: &str) -> Result<Proxy> {
    let proxy = Proxy::new(text).ok().filter(|proxy| !proxy.host().is_empty());
    proxy.ok_or_else(|| {
        Error::usage(format!("{what} is no URL such as http://proxy.example.com:8080 (none: --proxy none)"))
    })
}

fn roots(roots: &Roots) -> Result<RootCerts> {
    let certificates = match roots {
        Roots::BuiltIn => return Ok(RootCerts::WebPki),
        Roots::System => {
            let found = rustls_native_certs::load_native_certs();
            if let Some(none) = found.errors.iter().find_map(no_descriptor) {
                return Err(none);
            }
            let is_named =
                ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some());
            match found.errors.first() {
                // Whoever names authorities trusts those, and not the usual ones in their place.
                Some(why) if found.certs.is_empty() && is_named => {
                    return Err(Error::usage(format!(
                        "the authorities that SSL_CERT_FILE or SSL_CERT_DIR names: {why}"
                    )));
                }
                Some(why) => tracing::warn!(%why, "some of the system's authorities cannot be read"),
                None => {}
            }
            found.certs
        }
        Roots::Pem(path) => {
            let named = |why: String| Error::usage(format!("the authorities in {}: {why}", path.display()));
            let text = std::fs::read(path).map_err(|e| match is_out_of_descriptors(&e) {
                true => Failure::TooManyFiles(path.clone()).into(),
                false => named(e.to_string()),
            })?;
            // An editor may have left a mark of its own before the first line.
            let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text);
            let found: Vec<Certificate<'static>> = parse_pem(text)
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            return match found.is_empty() {
                true => Err(named("there is no certificate in it, in PEM".to_owned())),
                false => Ok(RootCerts::new_with_certs(&found)),
            };
        }
    };
    if certificates.is_empty() {
        tracing::info!("the system trusts no authority, or does not tell: those that are built in are taken");
        return Ok(RootCerts::WebPki);
    }
    let certificates: Vec<_> = certificates
        .iter()
        .map(|certificate| Certificate::from_der(certificate.as_ref()).to_owned())
        .collect();
    Ok(RootCerts::new_with_certs(&certificates))
}

/// The same authorities, for a line that is no request's.
#[cfg(feature = "fleet")]
pub(crate) fn root_store(of: &Roots) -> Result<rustls::RootCertStore> {
    let mut store = rustls::RootCertStore::empty();
    match roots(of)? {
        RootCerts::Specific(certificates) => {
            let found = certificates.iter().map(|certificate| certificate.der().to_vec().into());
            store.add_parsable_certificates(found);
        }
        _ => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    Ok(store)
}

/// Authorities that cannot be read for lack of descriptors are not none: others would be believed in their place.
fn no_descriptor(error: &rustls_native_certs::Error) -> Option<Error> {
    match &error.kind {
        rustls_native_certs::ErrorKind::Io { inner, path } if is_out_of_descriptors(inner) => {
            Some(Failure::TooManyFiles(path.clone()).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_no_proxy_stands_before_is_read_as_by_other_programs() {
        let url = "https://api.example.com/v3".parse().unwrap();
        for (entry, is_meant) in [
            ("*", true),
            ("api.example.com", true),
            ("API.Example.COM", true),
            ("example.com", true),
            (".example.com", true),
            ("*.example.com", true),
            ("example.com.", true),
            ("example.com:443", true),
            ("example.com:8443", false),
            ("ample.com", false),
            ("v3.api.example.com", false),
            (".", false),
            ("", false),
        ] {
            assert_eq!(names(entry, &url), is_meant, "{entry}");
        }
        let own = "https://[::1]:8443/".parse().unwrap();
        assert!(names("::1", &own) && names("[::1]:8443", &own) && !names("[::1]:9", &own));
    }
}
