//! What goes over the wire to PowerDNS and comes back.

use serde::{Deserialize, Serialize};

/// A zone as PowerDNS shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct ServerZone {
    pub name: String,
    #[serde(default)]
    pub account: String,
    #[serde(default)]
    pub serial: u32,
    #[serde(default)]
    pub dnssec: bool,
    #[serde(default)]
    pub api_rectify: bool,
    #[serde(default)]
    pub rrsets: Vec<ServerRrset>,
    /// Of a secondary zone: when its master was last asked, in seconds since 1970; 0 never.
    #[serde(default)]
    pub last_check: i64,
}

/// A zone as it stands in PowerDNS's list of zones.
#[derive(Clone, Debug, Deserialize)]
pub struct ListedZone {
    pub account: String,
    pub serial: u32,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ServerRrset {
    pub name: String,
    #[serde(rename = "type")]
    pub record_type: String,
    #[serde(default)]
    pub ttl: u32,
    #[serde(default)]
    pub records: Vec<ServerRecord>,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct ServerRecord {
    pub content: String,
    #[serde(default)]
    pub disabled: bool,
}

/// One step of a PATCH; PowerDNS runs them in the order given, in one transaction.
#[derive(Clone, Debug, Serialize)]
pub struct RrsetPatch {
    pub name: String,
    #[serde(rename = "type")]
    pub record_type: String,
    pub changetype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
    pub records: Vec<ServerRecord>,
}

impl RrsetPatch {
    pub fn replace(name: String, record_type: &str, ttl: u32, records: Vec<ServerRecord>) -> Self {
        Self { name, record_type: record_type.to_owned(), changetype: "REPLACE", ttl: Some(ttl), records }
    }

    pub fn delete(name: String, record_type: &str) -> Self {
        Self { name, record_type: record_type.to_owned(), changetype: "DELETE", ttl: None, records: Vec::new() }
    }
}

/// A zone to be made.
#[derive(Clone, Debug, Serialize)]
pub struct ZoneCreation {
    pub name: String,
    pub kind: &'static str,
    pub account: String,
    pub soa_edit_api: &'static str,
    pub api_rectify: bool,
    pub nameservers: Vec<String>,
    pub rrsets: Vec<ServerRrset>,
}

/// What became of a PATCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatchAnswer {
    /// 204. The serial is absent where PowerDNS does not say it (SOA disabled, or in the PATCH).
    Applied { new_serial: Option<u32> },
    /// 4xx: nothing ran.
    Refused { status: u16, message: String },
    /// The connection was never made: nothing was sent.
    NotSent(String),
    /// Anything else: it may have run, or run yet.
    Unknown(String),
}

/// What became of a DELETE of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeleteAnswer {
    Gone,
    Refused(String),
    NotSent(String),
    Unknown(String),
}
