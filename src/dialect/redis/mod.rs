//! The Redis dialect.

pub mod wire;
