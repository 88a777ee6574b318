//! PowerDNS's HTTP API: typed calls, time-outs, a bound on the calls in flight.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PdnsError(pub String);
