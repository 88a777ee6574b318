//! ScaiDNS's API, as its clients use it.

use anyhow::{Context, Result};
use hyper::Method;
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::powerdns::content;

/// How many callers fill a zone at once: what arrives together goes together.
const FILLERS: usize = 32;

/// A caller of ScaiDNS.
#[derive(Clone, Debug)]
pub struct Api {
    pub client: Client,
}

/// A live zone.
#[derive(Clone, Debug)]
pub struct Zone {
    pub id: String,
    pub name: String,
}

impl Zone {
    pub fn records(&self) -> String {
        format!("/domains/{}/records", self.id)
    }
}

impl Api {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The same caller at another replica.
    pub fn at(&self, url: &str) -> Self {
        Self { client: self.client.at(url) }
    }

    /// Makes a zone that is served at once; the caller needs no proof.
    pub async fn create_zone(&mut self, name: &str) -> Result<Zone> {
        let made = self.client.post("/domains/", &json!({ "name": name, "domain_type": "primary" })).await?.ok()?;
        anyhow::ensure!(made["status"] == "active", "{name} is not live: {made}");
        let id = made["id"].as_str().context("an id")?.to_owned();
        Ok(Zone { id, name: name.to_owned() })
    }

    /// Adds one A record at a new name; the status of the answer.
    pub async fn put(&mut self, zone: &Zone, label: &str) -> u16 {
        self.client.status(Method::POST, &zone.records(), record(label, 1).to_string().into()).await
    }

    /// Adds this many records, called as those of [`crate::powerdns::PowerDns::create_zone`].
    pub async fn fill(&self, zone: &Zone, records: usize) -> Result<()> {
        let fillers = (0..FILLERS.min(records)).map(|filler| {
            let mut api = self.clone();
            async move {
                for n in (filler..records).step_by(FILLERS) {
                    api.client.post(&zone.records(), &record(&format!("r{n}"), n)).await?.ok()?;
                }
                Ok::<_, anyhow::Error>(())
            }
        });
        futures::future::try_join_all(fillers).await?;
        Ok(())
    }

    /// The body of a call that adds many records at new names.
    pub fn many(labels: &[String]) -> Bytes {
        let records: Vec<Value> = labels.iter().enumerate().map(|(n, label)| record(label, n)).collect();
        json!({ "records": records }).to_string().into()
    }

    pub async fn bulk(&mut self, zone: &Zone, body: Bytes) -> Result<Answer> {
        self.client.send(Method::POST, &format!("{}/bulk", zone.records()), body).await
    }

    /// Signs a zone, in the default way.
    pub async fn sign(&mut self, zone: &Zone) -> Result<()> {
        self.client.post(&format!("/domains/{}/dnssec/enable", zone.id), &json!({})).await?.ok()?;
        Ok(())
    }

    /// The whole list of a zone's records.
    pub async fn list(&mut self, zone: &Zone) -> Result<Answer> {
        self.client.get(&zone.records()).await
    }

    /// The names of a zone's records.
    pub async fn names(&mut self, zone: &Zone) -> Result<Vec<String>> {
        let list = self.list(zone).await?.ok()?;
        let records = list["data"].as_array().context("a list of records")?;
        Ok(records.iter().filter_map(|record| record["name"].as_str()).map(str::to_owned).collect())
    }
}

pub fn record(label: &str, n: usize) -> Value {
    json!({ "name": label, "type": "A", "content": content(n), "ttl": 300 })
}
