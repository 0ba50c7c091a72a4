//! Where the store is, and how it is spoken to: read from what people paste, and checked before anything is sent.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use ureq::http::Uri;

use super::connect;
use crate::error::{Error, Result};
use crate::flow::{is_store_hash, shown, store_address};

const API_URL: &str = "https://api.bigcommerce.com";

/// Where the store is, and how it is spoken to.
#[derive(Clone)]
pub struct HttpOptions {
    /// Default: `https://api.bigcommerce.com`. Plain `http` is accepted for loopback addresses only. It may be a whole API
    /// path, as the control panel shows it: see [`HttpOptions::settled`].
    pub api_url: String,
    /// The store: the part behind `stores/` in the API path, or that path.
    pub store_hash: String,
    /// The API account's access token, with the scope `store_v2_customers`.
    pub access_token: SecretString,
    /// For one request, in all; connecting may take a third of it. Default: 30 s.
    pub timeout: Duration,
    /// What stands between this till and the store by the till's own will. Never for loopback addresses: a request in the clear
    /// would show the token to it. Default: what the environment says.
    pub proxy: HttpProxy,
    /// Whose word is believed on who the store is. Default: that of the system's authorities.
    pub roots: Roots,
}

impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOptions")
            .field("api_url", &self.shown_url())
            .field("store_hash", &shown(&self.store_hash))
            .field("access_token", &self.access_token)
            .field("timeout", &self.timeout)
            .field("proxy", &self.proxy)
            .field("roots", &self.roots)
            .finish()
    }
}

/// A proxy for requests.
#[derive(Clone, Debug, Default)]
pub enum HttpProxy {
    /// As `ALL_PROXY`, `HTTPS_PROXY` or `HTTP_PROXY` say, but for what `NO_PROXY` names.
    #[default]
    Environment,
    /// None, whatever the environment says.
    None,
    /// This one: `http://user:password@host:port`.
    Url(SecretString),
}

impl FromStr for HttpProxy {
    type Err = Infallible;

    /// `none`, or the URL of one.
    fn from_str(text: &str) -> Result<HttpProxy, Infallible> {
        Ok(match text.trim() {
            "" => HttpProxy::Environment,
            "none" => HttpProxy::None,
            url => HttpProxy::Url(url.into()),
        })
    }
}

/// Who may sign the certificate of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// The authorities that the system trusts, a shop's own among them; those that are built in where the system has none.
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` are heeded.
    #[default]
    System,
    /// Those of Mozilla's list, as it was when this library was built.
    BuiltIn,
    /// Those in a file of PEM, and no others.
    Pem(PathBuf),
}

impl FromStr for Roots {
    type Err = Infallible;

    /// `system`, `built-in`, or a file.
    fn from_str(text: &str) -> Result<Roots, Infallible> {
        Ok(match text.trim() {
            "" | "system" => Roots::System,
            "built-in" => Roots::BuiltIn,
            path => Roots::Pem(path.into()),
        })
    }
}

impl HttpOptions {
    /// The public API, with the default timeout.
    pub fn new(store_hash: impl Into<String>, access_token: impl Into<SecretString>) -> HttpOptions {
        HttpOptions {
            api_url: API_URL.to_owned(),
            store_hash: store_hash.into(),
            access_token: access_token.into(),
            timeout: Duration::from_secs(30),
            proxy: HttpProxy::default(),
            roots: Roots::default(),
        }
    }

    /// The URL as anybody may see it: `***` in the place of a user and a password.
    pub fn shown_url(&self) -> Cow<'_, str> {
        shown(&self.api_url)
    }

    /// Whether URL and store hash can be what they should, and a proxy and authorities that are named, without asking anybody.
    ///
    /// # Errors
    /// When the URL is none, would send the token in the clear, or the store hash is none; when the proxy is no URL, or the file of
    /// authorities has none.
    pub fn check(&self) -> Result<()> {
        let url = url(&self.clone().settled()?)?;
        connect::check_named(self, &url)
    }

    /// The same with URL and store hash taken apart, where one of them is what was copied from the control panel:
    /// `https://api.bigcommerce.com/stores/abc123/v3/`. [`HttpRemote::new`] does that by itself; this is for whoever
    /// needs the hash before.
    ///
    /// ```
    /// use tillsync::HttpOptions;
    ///
    /// let pasted = HttpOptions::new("https://api.bigcommerce.com/stores/abc123/v3/", "token");
    /// assert_eq!(pasted.settled()?.store_hash, "abc123");
    /// # Ok::<(), tillsync::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the two name different stores, or different places.
    pub fn settled(mut self) -> Result<HttpOptions> {
        let (url, hash) = (self.api_url.trim().to_owned(), self.store_hash.trim().to_owned());
        let (in_url, in_hash) = (store_address(&url), store_address(&hash));
        let store_hash = in_hash.as_ref().map_or(hash.as_str(), |address| address.store_hash);
        match &in_url {
            Some(address) if store_hash.is_empty() => self.store_hash = address.store_hash.to_owned(),
            Some(address) if address.store_hash != store_hash => {
                let (url, other) = (shown(&url), address.store_hash);
                let store_hash = shown(store_hash);
                return Err(Error::usage(format!(
                    "the API URL {url} names the store {other}, and the store hash is {store_hash}"
                )));
            }
            _ => self.store_hash = store_hash.to_owned(),
        }
        let base = in_url.map_or(Some(url.clone()), |address| address.api_url.map(with_scheme));
        let beside_hash = in_hash.and_then(|address| address.api_url).map(with_scheme);
        self.api_url = match (base.unwrap_or_else(|| API_URL.to_owned()), beside_hash) {
            (base, Some(other)) if base.trim_end_matches('/') == API_URL => other,
            (base, Some(other)) if base.trim_end_matches('/') != other => {
                let (hash, other, base) = (shown(&hash), shown(&other), shown(&base));
                return Err(Error::usage(format!(
                    "the store hash was given as {hash}, which is at {other}, and the API URL is {base}"
                )));
            }
            (base, _) => base,
        };
        Ok(self)
    }
}

pub(super) fn url(options: &HttpOptions) -> Result<String> {
    let HttpOptions { api_url, store_hash, .. } = options;
    let told = options.shown_url();
    let base: Uri = api_url.parse().map_err(|e| Error::usage(format!("the API URL {told} is none: {e}")))?;
    let host = base.host().unwrap_or_default();
    match base.scheme_str() {
        Some("https") if !host.is_empty() => {}
        Some("http") if is_loopback(host) => {}
        Some("http") => {
            let text = format!("the API URL {told} would send the token in the clear: use https");
            return Err(Error::usage(text));
        }
        _ => return Err(Error::usage(format!("the API URL {told} must begin with https://"))),
    }
    if !is_store_hash(store_hash) {
        let store_hash = shown(store_hash);
        return Err(Error::usage(format!(
            "the store hash {store_hash:?} must be letters and digits: the part behind stores/ in the API path, \
             {API_URL}/stores/abc123/v3/"
        )));
    }
    Ok(format!("{}/stores/{store_hash}/v3", api_url.trim_end_matches('/')))
}

/// An address that was copied without its beginning.
fn with_scheme(url: &str) -> String {
    let has_one = url.is_empty() || url.contains("://") || !url.starts_with("api.");
    if has_one { url.to_owned() } else { format!("https://{url}") }
}

pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.trim_end_matches('.').eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        || is_short_loopback(host)
}

/// `127.1`, as the system reads it: the last number stands for all that are left out.
fn is_short_loopback(host: &str) -> bool {
    let number = |part: &str| {
        let is_plain =
            part == "0" || !part.starts_with('0') && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u32>().ok().filter(|_| is_plain)
    };
    let Some(parts) = host.split('.').map(number).collect::<Option<Vec<_>>>() else { return false };
    match parts[..] {
        [127, last] => last < 1 << 24,
        [127, second, last] => second < 256 && last < 1 << 16,
        _ => false,
    }
}

pub(super) fn token(options: &HttpOptions) -> Result<SecretString> {
    sendable(options.access_token.expose_secret(), "the access token")
}

/// A token that can stand in a header, without the blanks and line ends around it. Its words are never repeated.
pub(crate) fn sendable(token: &str, named: &str) -> Result<SecretString> {
    let token = token.trim();
    let lack = if token.is_empty() {
        "is empty"
    } else if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        "holds what is in no access token: a blank, a line end, or a sign that is not ASCII"
    } else {
        return Ok(token.into());
    };
    Err(Error::usage(format!("{named} {lack}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(api_url: &str) -> Option<String> {
        let options = HttpOptions { api_url: api_url.into(), ..HttpOptions::new("abc", "token") };
        url(&options.settled().ok()?).err().map(|e| e.to_string())
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for fine in [
            "https://api.bigcommerce.com",
            "http://127.0.0.1:8080",
            "http://localhost:1/",
            "http://[::1]:2",
            "http://LOCALHOST:1",
            "http://localhost.:1",
            "http://127.1:1",
            "http://127.0.1:1",
        ] {
            assert_eq!(refused(fine), None, "{fine}");
        }
        for bad in [
            "http://api.bigcommerce.com",
            "http://127.0.0.1.example.com",
            "http://127.16777216",
            "http://127.256.1",
            "http://127.01",
            "http://127.1.example.com",
            "ftp://x",
            "api.bigcommerce.com",
            "",
        ] {
            assert!(refused(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn what_was_copied_from_the_control_panel_is_taken_apart() {
        let settled = |api_url: &str, hash: &str| {
            let options = HttpOptions { api_url: api_url.into(), ..HttpOptions::new(hash, "token") };
            options.settled().map(|options| (options.api_url, options.store_hash)).map_err(|e| e.to_string())
        };
        let there = Ok((API_URL.to_owned(), "abc123".to_owned()));
        let path = "https://api.bigcommerce.com/stores/abc123/v3/";
        for (api_url, hash) in [
            (API_URL, "abc123"),
            (API_URL, path),
            (API_URL, " api.bigcommerce.com/stores/abc123/v3\n"),
            (API_URL, "stores/abc123"),
            (API_URL, "https://store-abc123.mybigcommerce.com/manage"),
            (path, ""),
            (path, "abc123"),
            (path, path),
            ("https://store-abc123.mybigcommerce.com", ""),
        ] {
            assert_eq!(settled(api_url, hash), there, "{api_url}, {hash}");
        }
        let local = settled("http://127.0.0.1:1", "http://127.0.0.1:1/stores/abc123/v3");
        assert_eq!(local, Ok(("http://127.0.0.1:1".to_owned(), "abc123".to_owned())));
        let other = settled(path, "xyz").unwrap_err();
        assert!(other.contains("names the store abc123") && other.contains("xyz"), "{other}");
        assert!(settled("https://other.example.com", path).is_err());
    }
}
