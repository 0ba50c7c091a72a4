//! Offline-first sync of BigCommerce customers.
#[cfg(feature = "sandbox")]
pub mod sandbox;
