//! A fleet of tills that share one store's quota, in virtual time.

pub mod figures;
pub mod scenario;
pub mod store;
pub mod till;
pub mod world;
