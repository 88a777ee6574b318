//! cli

#[cfg(feature = "dev")]
pub mod dev;
