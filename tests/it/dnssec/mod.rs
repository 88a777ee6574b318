//! Signing a domain, its rollovers, and unsigning it, over real DNS: PowerDNS, a parent, and validators.
//!
//! `SCAIDNS_TEST_DNSSEC=all` lets every denial and algorithm roll under the eyes of two resolvers, instead of one of
//! each; `SCAIDNS_TEST_DNSSEC_KILLS` sets how often something is killed in rollovers (12 unless told otherwise).

mod kills;
mod lifetimes;
mod live;
mod observer;
mod parents;
mod refusals;
mod resolver;
mod rollovers;
mod verify;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Api, Domain, Trials, World, eventually_within};

pub fn tests() -> Trials {
    let all =
        [rollovers::tests(), refusals::tests(), parents::tests(), lifetimes::tests(), live::tests(), kills::tests()];
    all.into_iter().flatten().collect()
}

/// Waits of a rollover are some seconds each here; the machine may be busy.
const LONG: Duration = Duration::from_secs(120);

fn path(domain: &Domain, what: &str) -> String {
    format!("{}/dnssec{what}", domain.path())
}

async fn state(api: &Api, domain: &Domain) -> Value {
    api.get(&path(domain, "")).await.ok()
}

/// A live domain all of whose TTLs are a second, and were so for ever.
async fn quick(world: &World, api: &Api, label: &str) -> Domain {
    let domain = world.live(api, label).await;
    shorten(world, api, &domain, 1).await;
    domain
}

/// Gives every record of a live domain this TTL, and some more records to ask for.
pub async fn shorten(world: &World, api: &Api, domain: &Domain, ttl: u32) {
    for record in api.records_where(domain, "include_system=true").await {
        let mut change = json!({ "ttl": ttl });
        if record["type"] == "SOA" {
            let fields: Vec<&str> = record["content"].as_str().expect("an SOA").split(' ').collect();
            change["content"] = json!(format!("{} {ttl}", fields[..6].join(" ")));
        }
        api.patch(&domain.record(record["id"].as_str().expect("an id")), change).await.ok();
    }
    for (name, content) in [("www", "192.0.2.1"), ("*.wild", "192.0.2.2"), ("deep.in.the", "192.0.2.3")] {
        let record = json!({ "name": name, "type": "A", "content": content, "ttl": ttl });
        api.post(&domain.records(), record).await.ok();
    }
    // what was served with an hour would keep every wait at an hour
    let past = "UPDATE zone_changes c JOIN zones z ON z.id = c.zone_id SET c.created_at = c.created_at - INTERVAL 30 DAY \
                WHERE z.name = ?";
    sqlx::query(past).bind(&domain.name).execute(&world.db).await.expect("time passes");
}

/// The DS records that the domain's owner is asked to have at the parent.
async fn asked_for(api: &Api, domain: &Domain) -> Vec<String> {
    let records = state(api, domain).await["ds_records"].as_array().cloned().unwrap_or_default();
    let kept = records.iter().filter(|record| record["action"] != "remove");
    kept.map(|record| record["ds"].as_str().expect("a DS").to_owned()).collect()
}

/// Does at the parent what the domain's DS records say, at once.
async fn do_as_asked(world: &World, api: &Api, domain: &Domain) {
    set_ds(world, domain, &asked_for(api, domain).await).await;
}

/// Exactly these DS at the parent, from one moment to the next.
async fn set_ds(world: &World, domain: &Domain, ds: &[String]) {
    let url = format!("{}/names/{}", world.registrar.api_url(), domain.name);
    let client = reqwest::Client::new();
    let known: Value = client.get(&url).send().await.expect("an answer").json().await.expect("JSON");
    let others = known["records"].as_array().into_iter().flatten().filter(|record| record["type"] != "DS").cloned();
    let ds = ds.iter().map(|ds| json!({ "name": "@", "type": "DS", "value": ds }));
    let records: Vec<Value> = others.chain(ds).collect();
    let sent = client.put(format!("{url}/records")).json(&records).send().await.expect("an answer");
    assert!(sent.status().is_success(), "{}", sent.text().await.unwrap_or_default());
}

async fn until(api: &Api, domain: &Domain, what: &str, reached: impl Fn(&Value) -> bool) -> Value {
    eventually_within(LONG, what, || async {
        let now = state(api, domain).await;
        if reached(&now) { Ok(now) } else { Err(now.to_string()) }
    })
    .await
}

async fn until_phase(api: &Api, domain: &Domain, phase: &str) -> Value {
    // known once every server serves the step
    until(api, domain, phase, |now| now["phase"] == phase && now["alarm"].is_null() && !now["not_before"].is_null())
        .await
}

/// A domain that is signed, with its DS at the parent.
async fn signed(world: &World, api: &Api, label: &str, body: Value) -> Domain {
    let domain = quick(world, api, label).await;
    sign(world, api, &domain, body).await;
    domain
}

async fn sign(world: &World, api: &Api, domain: &Domain, body: Value) {
    api.post(&path(domain, "/enable"), body).await.ok();
    do_as_asked(world, api, domain).await;
    api.post_empty(&path(domain, "/confirm-ds-published")).await.ok();
    until_phase(api, domain, "active").await;
}

fn tags(keys: &Value) -> BTreeSet<u64> {
    keys.as_array().into_iter().flatten().filter_map(|key| key["key_tag"].as_u64()).collect()
}

/// What PowerDNS itself has: flags, active, published.
async fn server_keys(world: &World, domain: &Domain) -> Vec<(u64, bool, bool)> {
    let keys: Value = world.pdns_get(&format!("/zones/{}./cryptokeys", domain.name)).await.json().await.expect("JSON");
    let key = |key: &Value| (key["flags"].as_u64().unwrap_or(0), key["active"] == true, key["published"] == true);
    let mut found: Vec<_> = keys.as_array().into_iter().flatten().map(key).collect();
    found.sort();
    found
}

/// Names of every kind: existing, without that type, missing, by a wildcard, with others below only.
fn questions(domain: &Domain) -> Vec<(String, &'static str)> {
    vec![
        (domain.name.clone(), "SOA"),
        (domain.at("www"), "A"),
        (domain.at("www"), "AAAA"),
        (domain.at("missing"), "A"),
        (domain.at("any.wild"), "A"),
        (domain.at("in.the"), "A"),
    ]
}

/// A validator of its own, with the domain's key as trust anchor, finds every kind of answer secure.
pub async fn assert_validates(world: &World, api: &Api, domain: &Domain) {
    let now = state(api, domain).await;
    let current = now["ksk"].as_array().into_iter().flatten().find(|key| key["state"] == "current").expect("a KSK");
    let key = current["dnskey"].as_str().expect("a DNSKEY").split(' ').collect::<Vec<_>>();
    let anchor = format!(
        "trust-anchors {{ \"{}.\" static-key {} {} {} \"{}\"; }};\n",
        domain.name, key[0], key[1], key[2], key[3]
    );
    let file = world.folder.join(format!("{}.anchor", domain.name));
    std::fs::write(&file, anchor).expect("written");
    verify::delv(world.dns_address(), &file, &domain.name, &questions(domain)).await;
}
