//! The stand-in store.
