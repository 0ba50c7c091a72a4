//! Where a store is, out of what a person copied from the control panel: the hash, the API path, or the panel's own address.

use std::borrow::Cow;

/// A store that an address names.
#[derive(Debug, PartialEq, Eq)]
pub struct StoreAddress<'a> {
    /// What stands before `/stores/`; `None`: the address is of the control panel, or of a path only.
    pub api_url: Option<&'a str>,
    /// The store.
    pub store_hash: &'a str,
}

/// The store that `https://api.bigcommerce.com/stores/abc123/v3/` names, also without its beginning or end, or
/// `https://store-abc123.mybigcommerce.com/manage`. `None`: it is no such address.
pub fn store_address(text: &str) -> Option<StoreAddress<'_>> {
    api_path(text).or_else(|| control_panel(text))
}

fn api_path(text: &str) -> Option<StoreAddress<'_>> {
    let (before, after) = text.split_once("stores/")?;
    let api_url = before.trim_end_matches('/');
    let (store_hash, rest) = after.split_once('/').unwrap_or((after, ""));
    let is_whole = before.is_empty() || before.ends_with('/');
    let is_version = matches!(rest.split('/').next(), Some("" | "v2" | "v3"));
    let api_url = (!api_url.is_empty()).then_some(api_url);
    (is_whole && is_version && is_store_hash(store_hash)).then_some(StoreAddress { api_url, store_hash })
}

fn control_panel(text: &str) -> Option<StoreAddress<'_>> {
    let host = text.split_once("://").map_or(text, |(_, rest)| rest).split(['/', '?', '#']).next()?;
    let name = host.strip_prefix("store-")?.strip_suffix(".mybigcommerce.com")?;
    // A second storefront has its number behind the hash.
    let store_hash = name.split('-').next().filter(|hash| is_store_hash(hash))?;
    Some(StoreAddress { api_url: None, store_hash })
}

/// Whether it could be a store hash: nothing in it means anything in a URL.
pub fn is_store_hash(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// A URL as anybody may see it: who reads it need not know the user and the password in it. What stands before the last `@` is
/// theirs, whatever is in there.
pub fn shown(url: &str) -> Cow<'_, str> {
    let (scheme, rest) = url.find("://").map_or(("", url), |at| url.split_at(at + "://".len()));
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}***@{host}").into(),
        None => url.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_was_pasted_names_the_store() {
        for (text, api_url, store_hash) in [
            ("https://api.bigcommerce.com/stores/abc123/v3/", Some("https://api.bigcommerce.com"), "abc123"),
            ("https://api.bigcommerce.com/stores/abc123", Some("https://api.bigcommerce.com"), "abc123"),
            ("http://127.0.0.1:8080/x/stores/abc123/v3/customers", Some("http://127.0.0.1:8080/x"), "abc123"),
            ("api.bigcommerce.com/stores/abc123/v2", Some("api.bigcommerce.com"), "abc123"),
            ("stores/abc123/v3", None, "abc123"),
            ("/stores/abc123/", None, "abc123"),
            ("https://store-abc123.mybigcommerce.com/manage/dashboard", None, "abc123"),
            ("store-abc123-1.mybigcommerce.com", None, "abc123"),
        ] {
            assert_eq!(store_address(text), Some(StoreAddress { api_url, store_hash }), "{text}");
        }
    }

    #[test]
    fn anything_else_names_none() {
        for text in [
            "abc123",
            "https://api.bigcommerce.com",
            "https://shop.example.com/stores/",
            "https://shop.example.com/stores/abc123/checkout",
            "https://x/mystores/abc123/v3",
            "https://api.bigcommerce.com/stores/a b/v3",
            "store-abc123.example.com",
            "",
        ] {
            assert_eq!(store_address(text), None, "{text}");
        }
    }

    #[test]
    fn nobody_sees_the_password_in_a_url() {
        for (url, seen) in [
            ("https://api.bigcommerce.com", "https://api.bigcommerce.com"),
            ("http://ana:pw@host:1/x", "http://***@host:1/x"),
            ("http://ana:p/w@d@host", "http://***@host"),
            ("ana:pw@host", "***@host"),
            ("://", "://"),
        ] {
            assert_eq!(shown(url), seen);
        }
    }
}
