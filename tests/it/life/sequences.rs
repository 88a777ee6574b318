//! Random lives of a few names that two tenants want, with replicas killed in between: what DNS answers, what the API
//! says and what the history holds always agree.
//!
//! `SCAIDNS_TEST_SEED` repeats a run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Domain, Trials, World, eventually_within, trials};

/// How long is tried out; what was begun is finished.
const TIME: Duration = Duration::from_secs(45);
const STEPS_MAX: usize = 400;
/// Until what a killed replica has left is settled.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

pub fn tests() -> Trials {
    trials![whatever_two_tenants_do_to_the_same_names_dns_api_and_history_agree]
}

/// What a tenant has of a name, as it was last seen.
#[derive(Debug, Default)]
struct Holding {
    domain: Option<Domain>,
    /// Names that were written since the claim was made.
    written: BTreeSet<String>,
}

struct Life<'a> {
    world: &'a mut World,
    rng: StdRng,
    names: Vec<String>,
    /// By tenant and name.
    held: BTreeMap<(usize, usize), Holding>,
    value: u32,
    done: BTreeMap<String, usize>,
}

async fn whatever_two_tenants_do_to_the_same_names_dns_api_and_history_agree() {
    let seed = std::env::var("SCAIDNS_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("lives of names: SCAIDNS_TEST_SEED={seed}");
    let mut world = World::builder("lives").start().await;
    let outer = world.fresh("outer");
    let names = vec![world.fresh("plain"), format!("inner.{outer}"), outer];
    for name in &names {
        world.registrar.register(name, &[]).await.expect("registered");
    }
    let (rng, held) = (StdRng::seed_from_u64(seed), BTreeMap::new());
    let mut life = Life { world: &mut world, rng, names, held, value: 0, done: BTreeMap::new() };
    let until = Instant::now() + TIME;
    let mut kills = 0;
    for _ in 0..STEPS_MAX {
        if Instant::now() > until {
            break;
        }
        kills += usize::from(life.step().await);
        life.agree(seed).await;
    }
    eprintln!("{kills} kills among {:?}", life.done);
    assert!(kills > 2 && life.done.len() >= 8, "too little was tried: {:?}", life.done);
    world.stop().await;
}

impl Life<'_> {
    fn api(&self, tenant: usize, replica: usize) -> Api {
        let api = if tenant == 0 { self.world.admin() } else { self.world.other() };
        api.at(&self.world.urls[replica])
    }

    /// One thing that somebody does; true: the replica was killed at it.
    async fn step(&mut self) -> bool {
        let (tenant, name) = (self.rng.random_range(0..2), self.rng.random_range(0..self.names.len()));
        let known = self.held.entry((tenant, name)).or_default().domain.clone();
        let (what, method, path, body) = self.request(tenant, name, known.as_ref()).await;
        let is_fatal = self.rng.random_ratio(1, 5);
        let api = self.api(tenant, 0);
        let answer = if is_fatal {
            let delay = Duration::from_micros(self.rng.random_range(0..60_000));
            let call = api.try_call(method, &path, body);
            let killing = async {
                tokio::time::sleep(delay).await;
                self.world.apis[0].kill().await;
            };
            let (answer, ()) = tokio::join!(call, killing);
            self.world.apis[0].restart().await.expect("it comes back");
            answer.ok()
        } else {
            Some(api.call(method, &path, body).await)
        };
        let told = answer.as_ref().map_or("no answer".to_owned(), |answer| answer.status.to_string());
        if let Some(answer) = &answer {
            let usual = [200, 204, 400, 404, 409, 502, 503, 504].contains(&answer.status);
            assert!(usual, "{what}: {} answered {}: {}", answer.request, answer.status, answer.text);
        }
        *self.done.entry(format!("{what} {told}")).or_default() += 1;
        self.note(tenant, name, what, answer.as_ref()).await;
        is_fatal
    }

    async fn request(
        &mut self,
        tenant: usize,
        name: usize,
        known: Option<&Domain>,
    ) -> (&'static str, Method, String, Option<Value>) {
        let Some(domain) = known else {
            let body = json!({"name": self.names[name], "domain_type": "primary"});
            return ("create", Method::POST, "/domains/".to_owned(), Some(body));
        };
        match self.rng.random_range(0..14) {
            0..=2 => {
                self.value += 1;
                let owner = format!("h{}", self.rng.random_range(0..4));
                let content = format!("192.0.{}.{}", self.value / 250, self.value % 250);
                let disabled = self.rng.random_ratio(1, 4);
                let written = format!("{owner}.{}", domain.name);
                self.held.entry((tenant, name)).or_default().written.insert(written);
                let body = json!({"name": owner, "type": "A", "content": content, "disabled": disabled});
                ("write", Method::POST, domain.records(), Some(body))
            }
            3 | 4 => {
                let shown = self.api(tenant, 1).get(&domain.validation()).await;
                if let Some(value) = shown.body["dns_record"]["value"].as_str() {
                    self.world.publish_text(&domain.name, value).await;
                }
                ("check", Method::POST, domain.check(), None)
            }
            5 => ("withdraw", Method::PATCH, domain.path(), Some(json!({"status": "inactive"}))),
            6 => ("return", Method::PATCH, domain.path(), Some(json!({"status": "active"}))),
            7 | 8 => ("delete", Method::DELETE, domain.path(), None),
            9..=11 => ("restore", Method::POST, domain.restore(), None),
            12 => ("remove", Method::DELETE, format!("{}?hard=true", domain.path()), None),
            _ => ("challenge", Method::POST, domain.validation(), None),
        }
    }

    /// What came of it, from the API once all is settled.
    async fn note(&mut self, tenant: usize, name: usize, what: &str, answer: Option<&Answer>) {
        self.settled().await;
        let api = self.api(tenant, 1);
        let holding = self.held.entry((tenant, name)).or_default();
        if what == "create" {
            let list = api.get(&format!("/domains/?include_deleted=true&search={}", self.names[name])).await.ok();
            let data = list["data"].as_array().cloned().unwrap_or_default();
            let own = data.into_iter().find(|item| item["name"] == self.names[name].as_str());
            if answer.is_some_and(|answer| answer.status == 200) {
                assert!(own.is_some(), "acknowledged, and not there");
            }
            *holding = Holding { domain: own.map(Domain::new), written: BTreeSet::new() };
        } else if let Some(domain) = &holding.domain {
            let shown = api.get(&domain.even_deleted()).await;
            let expected = match (what, answer.map(|answer| answer.status)) {
                ("withdraw", Some(200)) => Some("inactive"),
                ("return", Some(200)) => Some("active"),
                ("delete", Some(204)) => Some("deleted"),
                ("remove", Some(204)) => Some("gone"),
                _ => None,
            };
            let status = if shown.status == 404 { "gone" } else { shown.body["status"].as_str().unwrap_or("?") };
            assert!(expected.is_none_or(|expected| expected == status), "{what} was acknowledged, and it is {status}");
            if what == "write" && answer.is_some_and(|answer| answer.status == 200) {
                let added = answer.map(|answer| answer.body["content"].clone()).unwrap_or_default();
                let there = api.records(domain).await.iter().any(|record| record["content"] == added);
                assert!(there, "{added} was acknowledged, and is not there");
            }
            if status == "gone" {
                *holding = Holding::default();
            }
        }
    }

    /// Waits until nothing is under way; what a killed replica has left is not left to its deadline.
    async fn settled(&self) {
        let db = &self.world.db;
        eventually_within(SETTLED_WITHIN, "all is settled", || async {
            let hurry = "UPDATE zone_intents SET deadline = NOW(6) WHERE created_at < NOW(6) - INTERVAL 3 SECOND";
            sqlx::query(hurry).execute(db).await.map_err(|error| error.to_string())?;
            // the DELETE of a replica that was killed has long landed: the hour is for a PowerDNS that hangs
            let rested = "DELETE FROM resting_names WHERE created_at < NOW(6) - INTERVAL 3 SECOND";
            sqlx::query(rested).execute(db).await.map_err(|error| error.to_string())?;
            let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM zone_intents")
                .fetch_one(db)
                .await
                .map_err(|error| error.to_string())?;
            if left == 0 { Ok(()) } else { Err(format!("{left} changes under way")) }
        })
        .await;
    }

    /// DNS, API and history say the same of every name.
    async fn agree(&self, seed: u64) {
        for name in 0..self.names.len() {
            let mut active = Vec::new();
            for tenant in 0..2 {
                let Some(holding) = self.held.get(&(tenant, name)) else { continue };
                let Some(domain) = &holding.domain else { continue };
                let api = self.api(tenant, 1);
                let shown = api.get(&domain.even_deleted()).await.ok();
                let history = self.history_of(domain).await;
                if shown["status"] == "deleted" {
                    api.get(&domain.records()).await.refused(404, "not_found");
                    continue;
                }
                let listed = listed(&api.records(domain).await);
                assert_eq!(listed, history, "seed {seed}: {} as {}", domain.name, shown["status"]);
                if shown["status"] == "active" {
                    active.push(tenant);
                    self.is_served(holding, &listed).await;
                }
            }
            assert!(active.len() <= 1, "seed {seed}: {} is both tenants'", self.names[name]);
            if active.is_empty() {
                self.is_not_served(name, seed).await;
            }
        }
    }

    async fn is_served(&self, holding: &Holding, listed: &BTreeSet<(String, String, bool)>) {
        for name in &holding.written {
            let here = listed.iter().filter(|(owner, _, disabled)| owner == name && !disabled);
            let mut wanted: Vec<&str> = here.map(|(_, content, _)| content.as_str()).collect();
            wanted.sort_unstable();
            self.world.served(name, RecordType::A, &wanted).await;
        }
    }

    /// Nobody's records of the name are answered, and no zone of it is left that is nobody's.
    async fn is_not_served(&self, name: usize, seed: u64) {
        let name = &self.names[name];
        let soa = self.world.dns(name, RecordType::SOA).await;
        // with a disabled SOA its parent answers
        let has_parent = name.starts_with("inner.");
        let is_emptied = soa.code == ResponseCode::NoError && !soa.answers.is_empty();
        if is_emptied {
            let sql = "SELECT COUNT(*) FROM emptied_zones e JOIN zones z ON z.id = e.zone_id WHERE z.name = ?";
            let count: i64 = sqlx::query_scalar(sql).bind(name).fetch_one(&self.world.db).await.expect("count");
            assert_eq!(count, 1, "seed {seed}: {name} is served, and nobody has it live");
        } else {
            assert!(soa.code == ResponseCode::Refused || has_parent, "seed {seed}: {name}: {soa:?}");
        }
        for host in 0..4 {
            let answer = self.world.dns(&format!("h{host}.{name}"), RecordType::A).await;
            assert!(answer.answers.is_empty(), "seed {seed}: h{host}.{name} is answered: {answer:?}");
        }
    }

    /// Owner, content and flag of all A records, as the changes in the domain's history make them.
    async fn history_of(&self, domain: &Domain) -> BTreeSet<(String, String, bool)> {
        let id: scaidns::ids::ZoneId = domain.id.parse().expect("an id");
        let sql = "SELECT changes FROM zone_changes WHERE zone_id = ? ORDER BY revision";
        let rows: Vec<String> = sqlx::query_scalar(sql).bind(id.0).fetch_all(&self.world.db).await.expect("history");
        let mut rrsets = BTreeMap::<String, Value>::new();
        for row in rows {
            for change in serde_json::from_str::<Vec<Value>>(&row).expect("changes") {
                if change["type"] == "A" {
                    rrsets.insert(change["name"].as_str().expect("name").to_owned(), change["after"].clone());
                }
            }
        }
        let records = rrsets.iter().flat_map(|(name, rrset)| {
            let records = rrset["records"].as_array().cloned().unwrap_or_default();
            records.into_iter().map(move |record| {
                let content = record["content"].as_str().unwrap_or_default().to_owned();
                (name.clone(), content, record["disabled"] == true)
            })
        });
        records.collect()
    }
}

fn listed(records: &[Value]) -> BTreeSet<(String, String, bool)> {
    let text = |record: &Value, field: &str| record[field].as_str().unwrap_or_default().to_owned();
    let of_hosts = records.iter().filter(|record| record["type"] == "A");
    of_hosts.map(|record| (text(record, "name"), text(record, "content"), record["disabled"] == true)).collect()
}
