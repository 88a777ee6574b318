//! cli

pub mod keys;
pub mod sync;
