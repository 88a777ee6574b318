//! PowerDNS's HTTP API: typed calls, time-outs, a bound on the calls in flight. No decisions about zones here.
//!
//! A PATCH that got no clear answer is [`PatchAnswer::Unknown`], never an error: it may have run. Nothing is retried
//! by the client, and no connection is used twice (PowerDNS closes each after its answer).

mod client;
mod cryptokeys;
mod transfers;
mod tsig_keys;
mod types;

pub use client::{Pdns, PdnsError};
pub use cryptokeys::NewKey;
pub use transfers::SecondaryCreation;
pub use types::{DeleteAnswer, PatchAnswer, RrsetPatch, ServerRecord, ServerRrset, ServerZone, ZoneCreation};
