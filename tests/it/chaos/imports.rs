//! Imports that are more than one change, and hence jobs, one after the other: each replaces the whole domain by the next
//! version of it. However often a replica or a worker dies over it, at the end the domain is one version, whole, and no
//! older one than the last that was said to be done.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;

use super::Common;
use crate::support::{Answer, Api, Domain, World, dns, eventually_within};

/// More than 1.5 MB of changes, by few records of many octets; a hundred of them must fit into 64 kB, or PowerDNS cannot
/// transfer the zone.
const RECORDS: usize = 2_600;
const TEXTS: usize = 2;
const TEXT_LENGTH: usize = 240;
/// Eight attempts with pauses between them, each as long as a lease at most.
const JOB_LIMIT: Duration = Duration::from_secs(240);
const USUAL: [u16; 7] = [200, 202, 409, 429, 502, 503, 504];

/// What is known of the versions that were sent.
#[derive(Debug, Default)]
pub struct Versions {
    /// The last that was said to be done.
    pub done: usize,
    /// The last that was sent.
    pub sent: usize,
    /// How often each status was answered to what was sent; 0: no answer.
    pub told: BTreeMap<u16, usize>,
}

pub fn start(world: &World, domain: &Domain, seed: u64, common: &Arc<Common>) -> JoinHandle<Versions> {
    let importer = Importer {
        replicas: world.urls.iter().map(|url| world.other().at(url)).collect(),
        rng: StdRng::seed_from_u64(seed ^ 0x696d_706f),
        domain: domain.clone(),
        common: common.clone(),
    };
    tokio::spawn(importer.run())
}

/// One version, whole, as a secondary gets it and as the API lists it.
pub async fn compare(world: &World, domain: &Domain, versions: &Versions, common: &Common) {
    eventually_within(JOB_LIMIT, "no import is left", || async {
        let sql = "SELECT COUNT(*) FROM jobs WHERE kind = 'import' AND finished_at IS NULL";
        let left: i64 = sqlx::query_scalar(sql).fetch_one(&world.db).await.map_err(|error| error.to_string())?;
        if left == 0 { Ok(()) } else { Err(left.to_string()) }
    })
    .await;
    let listed = world.other().get(&format!("{}?type=TXT&page_size=1", domain.records())).await.ok();
    let records = dns::transfer(world.dns_address(), &domain.name).await.expect("a transfer");
    let texts = records.iter().filter(|record| record.record_type() == RecordType::TXT);
    // fences stand until they are swept, and are nobody's
    let ours = texts.filter(|record| !record.name.to_ascii().starts_with("_scaidns"));
    let found: Vec<usize> = ours.filter_map(|record| version_of(&dns::text(&record.data))).collect();
    let different: BTreeSet<usize> = found.iter().copied().collect();
    let whole = found.len() == if versions.sent == 0 { 0 } else { RECORDS } || (versions.done == 0 && found.is_empty());
    let current = different.iter().all(|version| (versions.done..=versions.sent).contains(version));
    if !whole || different.len() > 1 || !current || listed["total"] != found.len() {
        common.wrong(format!(
            "{}: {} records of the versions {different:?}, {} in the list, after {versions:?}",
            domain.name,
            found.len(),
            listed["total"]
        ));
    }
}

fn version_of(text: &str) -> Option<usize> {
    text.strip_prefix('v')?.split('-').next()?.parse().ok()
}

fn file(version: usize) -> String {
    let filler = "x".repeat(TEXT_LENGTH);
    let more = format!(" \"{filler}\"").repeat(TEXTS);
    let mut text = "$TTL 300\n".to_owned();
    for n in 0..RECORDS {
        let _ = writeln!(text, "h{n} TXT \"v{version}-{n}\"{more}");
    }
    text
}

struct Importer {
    replicas: Vec<Api>,
    rng: StdRng,
    domain: Domain,
    common: Arc<Common>,
}

impl Importer {
    async fn run(mut self) -> Versions {
        let mut versions = Versions::default();
        while !self.common.stopped() {
            versions.sent += 1;
            let Some(job) = self.begin(versions.sent, &mut versions.told).await else { return versions };
            match self.ended(&job).await.as_deref() {
                Some("succeeded") => versions.done = versions.sent,
                // nobody waits any longer
                None => return versions,
                Some(other) => self.common.wrong(format!("import {} ended as {other}", versions.sent)),
            }
        }
        versions
    }

    /// Sends the same request until it is taken.
    async fn begin(&mut self, version: usize, told: &mut BTreeMap<u16, usize>) -> Option<String> {
        let body = json!({"format": "bind", "mode": "replace", "content": file(version)});
        let began = Instant::now();
        while began.elapsed() < JOB_LIMIT {
            let replica = self.replica();
            let request = replica.request(Method::POST, &format!("{}/import/text", self.domain.path()));
            let request = request.header("Idempotency-Key", format!("chaos-import-{version}")).json(&body);
            let answer = replica.try_send(request).await;
            *told.entry(answer.as_ref().map_or(0, |answer| answer.status)).or_insert(0) += 1;
            match answer {
                Ok(Answer { status: 202, body, .. }) => return body["job_id"].as_str().map(str::to_owned),
                Ok(answer) if !USUAL.contains(&answer.status) || answer.status == 200 => {
                    self.common.wrong(format!("import {version}: {} {}", answer.status, answer.text));
                    return None;
                }
                Ok(_) | Err(_) if self.common.stopped() => return None,
                Ok(_) | Err(_) => self.pause().await,
            }
        }
        self.common.wrong(format!("import {version} was not taken within {JOB_LIMIT:?}"));
        None
    }

    /// What became of the job; None once nobody waits any longer.
    async fn ended(&mut self, job: &str) -> Option<String> {
        loop {
            let answer = self.replica().try_call(Method::GET, &format!("/jobs/{job}"), None).await;
            if let Ok(Answer { status: 200, body, .. }) = answer
                && !body["finished_at"].is_null()
            {
                return body["status"].as_str().map(str::to_owned);
            }
            if self.common.stopped() {
                return None;
            }
            self.pause().await;
        }
    }

    fn replica(&mut self) -> Api {
        self.replicas[self.rng.random_range(0..self.replicas.len())].clone()
    }

    async fn pause(&mut self) {
        let pause = self.rng.random_range(100..400);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}
