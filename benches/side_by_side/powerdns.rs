//! PowerDNS's own API, as somebody uses it who has nothing in front of it.

use anyhow::Result;
use hyper::Method;
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::client::Client;

/// How PowerDNS and its zones are set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settings {
    /// As ScaiDNS makes its zones.
    Same,
    /// As PowerDNS makes them where nobody says anything.
    Shipped,
}

/// A caller of PowerDNS's API.
#[derive(Clone, Debug)]
pub struct PowerDns {
    client: Client,
}

impl PowerDns {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Makes a zone with this many RRsets beside SOA and NS.
    pub async fn create_zone(&mut self, name: &str, rrsets: usize, settings: Settings) -> Result<()> {
        let mut zone = json!({
            "name": format!("{name}."), "kind": "Native", "nameservers": ["ns1.scaidns-dev.test.", "ns2.scaidns-dev.test."],
            "rrsets": (0..rrsets).map(|n| rrset(name, &format!("r{n}"), n)).collect::<Vec<_>>(),
        });
        if settings == Settings::Same {
            zone["soa_edit_api"] = json!("INCREASE");
            zone["api_rectify"] = json!(false);
        }
        self.client.post("/zones?rrsets=false", &zone).await?.ok()?;
        Ok(())
    }

    /// Puts one A record where there was none; the status of the answer.
    pub async fn put(&mut self, zone: &str, label: &str) -> u16 {
        let body = json!({ "rrsets": [with_changetype(rrset(zone, label, 1))] });
        self.client.status(Method::PATCH, &format!("/zones/{zone}."), body.to_string().into()).await
    }

    /// The body of a PATCH with many RRsets at new names; built ahead, so that it costs nothing while it is measured.
    pub fn many(zone: &str, labels: &[String]) -> Bytes {
        let rrsets: Vec<Value> =
            labels.iter().enumerate().map(|(n, label)| with_changetype(rrset(zone, label, n))).collect();
        json!({ "rrsets": rrsets }).to_string().into()
    }

    pub async fn patch(&mut self, zone: &str, body: Bytes) -> u16 {
        self.client.status(Method::PATCH, &format!("/zones/{zone}."), body).await
    }

    pub async fn version(&mut self) -> Result<String> {
        let server = self.client.get("").await?.ok()?;
        Ok(server["version"].as_str().unwrap_or("of unknown version").to_owned())
    }

    /// Reads the whole zone; the status of the answer.
    pub async fn zone_status(&mut self, zone: &str) -> u16 {
        self.client.status(Method::GET, &format!("/zones/{zone}."), Bytes::new()).await
    }

    /// The whole zone.
    pub async fn zone(&mut self, zone: &str) -> Result<Value> {
        self.client.get(&format!("/zones/{zone}.")).await?.ok()
    }
}

fn rrset(zone: &str, label: &str, n: usize) -> Value {
    json!({
        "name": format!("{label}.{zone}."), "type": "A", "ttl": 300,
        "records": [{ "content": content(n), "disabled": false }],
    })
}

fn with_changetype(mut rrset: Value) -> Value {
    rrset["changetype"] = json!("REPLACE");
    rrset
}

/// An address by number, of the range for documentation.
pub fn content(n: usize) -> String {
    format!("192.0.2.{}", n % 254 + 1)
}
