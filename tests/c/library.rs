//! The C library, for tests: all that it exports stands in the crate.

pub use tillsync;
