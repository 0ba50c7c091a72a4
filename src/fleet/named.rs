//! The other tills, as a person names where they are found: by the address of a server. A build without the feature `fleet` has the
//! name, and refuses it.

use std::time::Duration;

use secrecy::SecretString;

use super::{Fleet, FleetView};
use crate::api::{HttpOptions, Roots};
use crate::error::Result;

/// Where the other tills of a store are found.
#[derive(Clone, Debug)]
pub struct FleetOptions {
    /// `redis://[user[:password]@]host[:port][/db]`, or `rediss://…` for TLS.
    pub url: SecretString,
    /// The store's hash: tills of other stores on the same server have nothing to do with these.
    pub store_hash: String,
    /// Whose word is believed on who the server is. Default: that of the system's authorities.
    pub roots: Roots,
    /// How long a request to the store may take: an update has its slot for so long, and some seconds. Default: 30 s.
    pub timeout: Duration,
}

impl FleetOptions {
    /// Of the tills of a store on a server, with every other option at its default.
    pub fn new(url: impl Into<SecretString>, store_hash: impl Into<String>) -> FleetOptions {
        let http = HttpOptions::new(store_hash, "");
        FleetOptions::beside(url, &http)
    }

    /// The same for a till that reaches its store in this way.
    pub fn beside(url: impl Into<SecretString>, http: &HttpOptions) -> FleetOptions {
        let HttpOptions { store_hash, roots, timeout, .. } = http.clone();
        FleetOptions { url: url.into(), store_hash, roots, timeout }
    }

    /// A fleet for [`SyncEngine::in_fleet`](crate::SyncEngine::in_fleet). Nobody is asked yet.
    ///
    /// # Errors
    /// When the URL is none of a server, the file of authorities has none, or this build was made without the feature `fleet`
    /// (`not_built_in`). The URL is repeated by none of them.
    pub fn join(&self) -> Result<Box<dyn Fleet>> {
        #[cfg(feature = "fleet")]
        return Ok(Box::new(self.redis()?));
        #[cfg(not(feature = "fleet"))]
        return Err(not_built_in());
    }

    /// Where the server is, as anybody may see it: without a user and a password.
    ///
    /// # Errors
    /// As [`FleetOptions::join`].
    pub fn shown_url(&self) -> Result<String> {
        #[cfg(feature = "fleet")]
        return Ok(self.redis()?.shown_url());
        #[cfg(not(feature = "fleet"))]
        return Err(not_built_in());
    }

    /// Who is there, and how the quota and the slots stand; none: the server does not answer.
    ///
    /// # Errors
    /// As [`FleetOptions::join`].
    pub fn look(&self) -> Result<Option<FleetView>> {
        #[cfg(feature = "fleet")]
        return Ok(self.redis()?.look());
        #[cfg(not(feature = "fleet"))]
        return Err(not_built_in());
    }

    #[cfg(feature = "fleet")]
    fn redis(&self) -> Result<super::RedisFleet> {
        use super::{RedisFleet, RedisOptions};
        let mut options = RedisOptions::new(self.url.clone(), self.store_hash.clone());
        options.roots = self.roots.clone();
        options.slot_held = options.slot_held.max(self.timeout.saturating_add(Duration::from_secs(5)));
        RedisFleet::new(options)
    }
}

#[cfg(not(feature = "fleet"))]
fn not_built_in() -> crate::Error {
    crate::error::Failure::NotBuiltIn { what: "fleet", feature: "fleet" }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_no_fleet_is_refused_and_nothing_of_it_is_told() {
        let options = FleetOptions::new("http://:hunter2@localhost", "abc123");
        let refused = options.join().unwrap_err();
        let code = if cfg!(feature = "fleet") { "usage" } else { "not_built_in" };
        let told = format!("{refused} {refused:?} {options:?}");
        assert!(refused.code() == code && !told.contains("hunter2"), "{told}");
    }
}
