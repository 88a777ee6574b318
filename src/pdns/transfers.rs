//! Zone transfers at PowerDNS: who may have a zone, who is told of changes, and zones that are transferred from elsewhere.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::client::{Pdns, PdnsError, unexpected, zone_path};

/// A few rows in PowerDNS's database.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A zone whose content comes from elsewhere.
#[derive(Clone, Debug, Serialize)]
pub struct SecondaryCreation {
    pub name: String,
    pub kind: &'static str,
    pub account: String,
    /// `address` or `address:port`.
    pub masters: Vec<String>,
    pub slave_tsig_key_ids: Vec<String>,
}

impl Pdns {
    /// Makes a secondary zone. `Ok(false)`: there is a zone of that name.
    pub async fn create_secondary_zone(&self, zone: &SecondaryCreation) -> Result<bool, PdnsError> {
        let request = self.request(Method::POST, "/zones").query(&[("rrsets", "false")]).json(zone);
        let response = self.send(request, CALL_TIMEOUT).await?;
        match response.status() {
            StatusCode::CREATED => Ok(true),
            StatusCode::CONFLICT => Ok(false),
            _ => Err(unexpected(response).await),
        }
    }

    /// Where a secondary zone's content comes from. Safe to repeat.
    pub async fn set_incoming(&self, name: &str, masters: &[String], keys: &[String]) -> Result<(), PdnsError> {
        let keys: Vec<String> = keys.iter().map(|key| format!("{key}.")).collect();
        let request = self.request(Method::PUT, &format!("/zones/{}", zone_path(name)));
        let source = json!({ "kind": "Slave", "masters": masters, "slave_tsig_key_ids": keys });
        self.done(request.json(&source), CALL_TIMEOUT).await
    }

    /// Has a secondary zone transferred now; PowerDNS answers before it is.
    pub async fn retrieve(&self, name: &str) -> Result<(), PdnsError> {
        let request = self.request(Method::PUT, &format!("/zones/{}/axfr-retrieve", zone_path(name)));
        self.done(request, CALL_TIMEOUT).await
    }

    /// Whether the zone's changes are told to secondaries, and the keys that open its transfer. Safe to repeat.
    pub async fn set_outgoing(&self, name: &str, is_primary: bool, keys: &[String]) -> Result<(), PdnsError> {
        let kind = if is_primary { "Master" } else { "Native" };
        let keys: Vec<String> = keys.iter().map(|key| format!("{key}.")).collect();
        let request = self.request(Method::PUT, &format!("/zones/{}", zone_path(name)));
        self.done(request.json(&json!({ "kind": kind, "master_tsig_key_ids": keys })), CALL_TIMEOUT).await
    }

    /// Replaces all values of one kind of metadata. Safe to repeat.
    pub async fn set_metadata(&self, name: &str, kind: &str, values: &[String]) -> Result<(), PdnsError> {
        let request = self.request(Method::PUT, &format!("/zones/{}/metadata/{kind}", zone_path(name)));
        self.done(request.json(&json!({ "kind": kind, "metadata": values })), CALL_TIMEOUT).await
    }
}
