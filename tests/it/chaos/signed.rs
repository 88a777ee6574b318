//! Domains that are signed, rolled and unsigned under trouble, with the registrar as their parent, whose DS records are
//! set as the domain asks for. Whatever was begun, each comes to rest by itself, and a validator is content with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::Common;
use crate::dnssec::{assert_validates, shorten};
use crate::support::{Answer, Api, Domain, World, eventually_within};

const ZONES: usize = 2;
/// Of everything in these domains, in seconds: no wait is longer than a few of them.
const TTL: u32 = 1;
/// Until a rollover that was under way is over, on a machine that does other things, too.
const REST_LIMIT: Duration = Duration::from_secs(240);
/// What a replica may say while everything fails; 409: not now.
const USUAL: [u16; 6] = [200, 409, 429, 502, 503, 504];

/// What was asked for and answered with 200, how often.
#[derive(Debug, Default)]
pub struct Begun(Mutex<BTreeMap<&'static str, usize>>);

pub async fn zones(world: &World) -> Vec<Domain> {
    let api = world.admin();
    let mut zones = Vec::new();
    for _ in 0..ZONES {
        let domain = world.live(&api, "signed").await;
        shorten(world, &api, &domain, TTL).await;
        zones.push(domain);
    }
    zones
}

pub fn start(
    world: &World,
    zones: &[Domain],
    seed: u64,
    common: &Arc<Common>,
    begun: &Arc<Begun>,
) -> Vec<JoinHandle<()>> {
    let owner = |number: u64, domain: &Domain| Owner {
        replicas: world.urls.iter().map(|url| world.admin().at(url)).collect(),
        registrar: world.registrar.api_url(),
        rng: StdRng::seed_from_u64(seed ^ 0x7369_676e ^ number),
        domain: domain.clone(),
        common: common.clone(),
        begun: begun.clone(),
    };
    let owners = (0..).zip(zones).map(|(number, domain)| owner(number, domain));
    owners.map(|owner| tokio::spawn(owner.run())).collect()
}

/// Until each is active or unsigned, and nothing is wrong; then the validator is asked.
pub async fn come_to_rest(world: &World, zones: &[Domain]) {
    let api = world.admin();
    let registrar = world.registrar.api_url();
    for domain in zones {
        let last = eventually_within(REST_LIMIT, &format!("{} is at rest", domain.name), || async {
            let now = api.get(&path(domain, "")).await.ok();
            if now["next"]["waiting_for"] == "parent" {
                set_ds(&registrar, domain, &now).await;
            }
            let is_at_rest = now["phase"].is_null() || now["phase"] == "active";
            let is_served = now["phase"].is_null() || !now["not_before"].is_null();
            if is_at_rest && is_served && now["alarm"].is_null() { Ok(now) } else { Err(now.to_string()) }
        })
        .await;
        if last["phase"] == "active" {
            assert_validates(world, &api, domain).await;
        }
    }
}

fn path(domain: &Domain, call: &str) -> String {
    format!("{}/dnssec{call}", domain.path())
}

struct Owner {
    replicas: Vec<Api>,
    registrar: String,
    rng: StdRng,
    domain: Domain,
    common: Arc<Common>,
    begun: Arc<Begun>,
}

impl Owner {
    async fn run(mut self) {
        while !self.common.stopped() {
            if let Some(now) = self.call(Method::GET, "", None).await.filter(|answer| answer.status == 200) {
                self.next(&now.body).await;
            }
            let pause = self.rng.random_range(100..400);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn next(&mut self, now: &Value) {
        if now["next"]["waiting_for"] == "parent" {
            return set_ds(&self.registrar, &self.domain, now).await;
        }
        let (what, call, body) = match (now["phase"].as_str(), self.rng.random_range(0..7)) {
            (None, _) => ("enable", "/enable", json!({})),
            (Some("active"), 0) => ("disable", "/disable", json!({ "wait_for_parent": true })),
            (Some("active"), 1..=3) => ("rotate-ksk", "/rotate-ksk", json!({})),
            (Some("active"), _) => ("rotate-zsk", "/rotate-zsk", json!({})),
            (Some(_), _) => return,
        };
        let Some(answer) = self.call(Method::POST, call, Some(body)).await else { return };
        if !USUAL.contains(&answer.status) {
            self.common.wrong(format!("{} answered {}: {}", answer.request, answer.status, answer.text));
        }
        if answer.status == 200 {
            let mut begun = self.begun.0.lock().unwrap_or_else(PoisonError::into_inner);
            *begun.entry(what).or_insert(0) += 1;
        }
    }

    /// At any replica; None: no answer.
    async fn call(&mut self, method: Method, call: &str, body: Option<Value>) -> Option<Answer> {
        let replica = &self.replicas[self.rng.random_range(0..self.replicas.len())];
        replica.try_call(method, &path(&self.domain, call), body).await.ok()
    }
}

/// Exactly the DS records at the parent that the domain asks for.
async fn set_ds(registrar: &str, domain: &Domain, now: &Value) {
    let asked = now["ds_records"].as_array().into_iter().flatten().filter(|record| record["action"] != "remove");
    let records: Vec<Value> = asked.map(|record| json!({ "name": "@", "type": "DS", "value": record["ds"] })).collect();
    let url = format!("{registrar}/names/{}/records", domain.name);
    let sent = reqwest::Client::new().put(url).json(&records).send().await.expect("an answer of the registrar");
    assert!(sent.status().is_success(), "{}", sent.text().await.unwrap_or_default());
}
