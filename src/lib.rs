//! ScaiDNS: a multi-tenant DNS control plane in front of PowerDNS.
//!
//! One library, one executable, layers that point one way (see ARCHITECTURE.md):
//!
//! `main → cli → app → { http | worker | dev } → service → { storage · pdns · scaikey · resolve } → authz → { dns · fairness · tenancy · config · ids · clock }`

// async functions nest deeper than the default when a release build lays out their state
#![recursion_limit = "256"]

pub mod app;
pub mod authz;
pub mod cli;
pub mod clock;
pub mod config;
#[cfg(feature = "dev")]
pub mod dev;
pub mod dns;
pub mod fairness;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod http;
pub mod ids;
pub mod pdns;
pub mod resolve;
pub mod scaikey;
pub mod service;
pub mod shutdown;
pub mod storage;
pub mod telemetry;
pub mod tenancy;
#[cfg(test)]
mod tests;
pub mod worker;
