//! Lives of domains, from the claim to the deletion for good, and of API keys, from their creation until they are
//! refused everywhere.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use scaidns::dev::scaikey::directory;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::Common;
use crate::support::{Answer, Api, Domain, World, eventually_within};

/// One step is tried for so long.
const STEP_LIMIT: Duration = Duration::from_secs(120);
/// What the contract gives a revocation to be known everywhere.
const REVOKED_WITHIN: Duration = Duration::from_secs(1);
/// A name that was served is served from PowerDNS's caches for a while.
const CACHE_LIMIT: Duration = Duration::from_secs(60);

/// What no longer exists has this status here.
const GONE: &str = "gone";

/// Ids of the domains that were begun, with their names.
static BEGUN: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

pub fn start(world: &World, seed: u64, common: &Arc<Common>) -> Vec<JoinHandle<()>> {
    let caller = |number: u64, api: Api| Caller {
        replicas: world.urls.iter().map(|url| api.at(url)).collect(),
        rng: StdRng::seed_from_u64(seed ^ 0x6c69_7665 ^ number),
        common: common.clone(),
    };
    vec![
        tokio::spawn(domains(caller(1, world.admin()), world.registrar.api_url())),
        tokio::spawn(keys(caller(2, world.admin_user()))),
    ]
}

/// How to see that a request was carried out although nobody said so.
#[derive(Clone, Copy)]
enum So<'a> {
    Unknown,
    /// What is at this path has this status, or is gone.
    At(&'a str, &'a str),
}

impl So<'_> {
    async fn is(self, api: &Api) -> bool {
        let Self::At(path, status) = self else { return false };
        match api.try_call(Method::GET, path, None).await {
            Ok(answer) if status == GONE => answer.status == 404,
            Ok(answer) => answer.body["status"] == status,
            Err(_) => false,
        }
    }
}

struct Caller {
    replicas: Vec<Api>,
    rng: StdRng,
    common: Arc<Common>,
}

impl Caller {
    fn any(&mut self) -> Api {
        self.replicas[self.rng.random_range(0..self.replicas.len())].clone()
    }

    /// Repeats a request, under a key if there is one, until it is done: by its answer, or by what it wanted being so.
    async fn until_done(
        &mut self,
        (method, path, body): (Method, &str, Option<Value>),
        key: Option<&str>,
        so: So<'_>,
    ) -> Option<Answer> {
        let began = Instant::now();
        let mut last = String::new();
        while began.elapsed() < STEP_LIMIT {
            let api = self.any();
            let mut request = api.request(method.clone(), path);
            if let Some(body) = &body {
                request = request.json(body);
            }
            if let Some(key) = key {
                request = request.header("Idempotency-Key", key);
            }
            match api.try_send(request).await {
                Ok(answer) if [200, 204].contains(&answer.status) => return Some(answer),
                Ok(answer) if answer.status >= 500 && ![502, 503, 504].contains(&answer.status) => {
                    self.common.wrong(format!("{} answered {}: {}", answer.request, answer.status, answer.text));
                }
                Ok(answer) if so.is(&api).await => return Some(answer),
                other => last = format!("{other:?}"),
            }
            let pause = self.rng.random_range(50..300);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        self.common.wrong(format!("{method} {path} was not done within {STEP_LIMIT:?}; last: {last}"));
        None
    }

    async fn until_status(&mut self, request: (Method, &str, Option<Value>), domain: &Domain, wanted: &str) -> bool {
        let path = domain.even_deleted();
        self.until_done(request, None, So::At(&path, wanted)).await.is_some()
    }
}

async fn domains(mut caller: Caller, registrar: String) {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    while !caller.common.stopped() {
        let name = format!("life-{}.test", NEXT.fetch_add(1, Ordering::Relaxed));
        let body = json!({"name": name, "domain_type": "primary"});
        let Some(made) = caller.until_done((Method::POST, "/domains/", Some(body)), Some(&name), So::Unknown).await
        else {
            return;
        };
        let domain = Domain::new(made.ok());
        BEGUN.lock().unwrap_or_else(PoisonError::into_inner).push((domain.id.clone(), name.clone()));
        publish(&registrar, &domain).await;
        let (check, path) = (domain.check(), domain.path());
        loop {
            let active = So::At(&path, "active");
            let Some(checked) = caller.until_done((Method::POST, &check, None), None, active).await else { return };
            if checked.body["is_valid"] != false {
                break;
            }
            if caller.common.stopped() {
                return;
            }
        }
        let record = json!({"name": "www", "type": "A", "content": "192.0.2.1"});
        let key = format!("{name}-www");
        caller.until_done((Method::POST, &domain.records(), Some(record)), Some(&key), So::Unknown).await;
        let (path, hard, restore) = (domain.path(), format!("{}?hard=true", domain.path()), domain.restore());
        let to = |status: &str| Some(json!({ "status": status }));
        let steps = [
            (Method::PATCH, path.as_str(), to("inactive"), "inactive"),
            (Method::PATCH, path.as_str(), to("active"), "active"),
            (Method::DELETE, path.as_str(), None, "deleted"),
            (Method::POST, restore.as_str(), None, "active"),
            (Method::DELETE, hard.as_str(), None, GONE),
        ];
        for (method, path, body, wanted) in steps {
            if caller.common.stopped() || !caller.until_status((method, path, body), &domain, wanted).await {
                return;
            }
        }
        caller.common.domains.fetch_add(1, Ordering::Relaxed);
    }
}

/// Registers the name, and publishes its challenge.
async fn publish(registrar: &str, domain: &Domain) {
    let client = reqwest::Client::new();
    let path = format!("{registrar}/names/{}", domain.name);
    let entry = json!({"name": format!("_scaidns-verify.{}", domain.name), "type": "TXT", "value": domain.challenge()});
    for request in [client.put(&path), client.post(format!("{path}/records")).json(&entry)] {
        let answer = request.send().await.expect("an answer of the registrar");
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
    }
}

async fn keys(mut caller: Caller) {
    let mut number = 0;
    while !caller.common.stopped() {
        number += 1;
        let name = format!("chaos-key-{number}");
        let body =
            json!({"name": name, "permission_source": "user", "permission_source_id": directory::NORTHWIND_ADMIN});
        let Some(made) = caller.until_done((Method::POST, "/api-keys/", Some(body)), Some(&name), So::Unknown).await
        else {
            return;
        };
        let id = made.body["id"].as_str().expect("an id").to_owned();
        // whoever lost the answer with the secret has none
        let secret = made.body["key"].as_str().map(str::to_owned);
        if let Some(secret) = &secret {
            for api in &caller.replicas {
                let _ = with_key(api, secret).try_call(Method::GET, "/me/", None).await;
            }
        }
        let path = format!("/api-keys/{id}");
        let revoked = So::At(&path, "revoked");
        let revoke = format!("{path}/revoke");
        if caller.until_done((Method::POST, &revoke, Some(json!({}))), None, revoked).await.is_none() {
            return;
        }
        tokio::time::sleep(REVOKED_WITHIN).await;
        for api in &caller.replicas {
            let Some(secret) = &secret else { break };
            if let Ok(answer) = with_key(api, secret).try_call(Method::GET, "/me/", None).await
                && answer.status == 200
            {
                caller.common.wrong(format!("{}: the key {id} is good although it was revoked", answer.request));
            }
        }
        // a revoked one could be made good again, and takes a place
        if caller.until_done((Method::DELETE, &path, None), None, So::At(&path, GONE)).await.is_none() {
            return;
        }
        caller.common.keys.fetch_add(1, Ordering::Relaxed);
    }
}

fn with_key(api: &Api, key: &str) -> Api {
    Api::with_key(api.url(), key)
}

/// Wherever a life was left: what the API says is what resolvers get, and each step was audited once.
pub async fn compare(world: &World, common: &Common) {
    let begun = BEGUN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for (id, name) in begun {
        let answer = world.admin().get(&format!("/domains/{id}?include_deleted=true")).await;
        let active = answer.body["status"] == "active";
        let wanted = if active { ResponseCode::NoError } else { ResponseCode::Refused };
        eventually_within(CACHE_LIMIT, &format!("{name} is served as the API says: {}", answer.text), || async {
            let found = world.dns(&name, RecordType::SOA).await.code;
            if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for action in world.actions(&id).await {
            *counts.entry(action).or_insert(0) += 1;
        }
        for once in ["domain.create", "domain.restore", "domain.validation.success"] {
            if counts.get(once).copied().unwrap_or(0) > 1 {
                common.wrong(format!("{name}: {once} was audited more than once: {counts:?}"));
            }
        }
        if counts.get("domain.create") != Some(&1) {
            common.wrong(format!("{name}: made once, and audited {counts:?}"));
        }
    }
}
