//! Writers under trouble, and the judge of what they were told.
//!
//! Every value that is ever written is unique, so each request can be found again: in PowerDNS's answers, in the list,
//! in the audit log and in the history. A writer edits only what it was told is there, and lets go of a record once it
//! was not told what became of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::json;
use sqlx::MySqlPool;
use tokio::task::JoinHandle;

use crate::support::{Answer, Api, Domain, World, eventually_within};

/// Longer than the deadline of a change (15 s) and all that recovery does after it.
const PROGRESS_LIMIT: Duration = Duration::from_secs(60);
/// All writers of a zone add to the RRset at this name; beside it each has a name of its own.
const SHARED_LABEL: &str = "all";
/// Records a writer holds at most; then it edits them.
const RECORDS_PER_WRITER: usize = 12;

/// A live zone and its tenant.
#[derive(Debug, Clone)]
pub struct Zone {
    pub domain: Domain,
    /// With the tenant's key.
    pub api: Api,
    /// Who may read the tenant's audit log.
    pub auditor: Api,
}

/// A tenant, by its admin.
#[derive(Debug, Clone)]
pub struct Tenancy {
    /// With a key.
    pub api: Api,
    /// Logged in.
    pub auditor: Api,
}

impl Tenancy {
    /// The two that every world has.
    pub fn usual(world: &World) -> Vec<Self> {
        vec![
            Self { api: world.admin(), auditor: world.admin_user() },
            Self { api: world.other(), auditor: world.other_user() },
        ]
    }
}

/// Live zones, as many for each of the two tenants.
pub async fn zones(world: &World, label: &str, per_tenant: usize) -> Vec<Zone> {
    zones_of(world, &Tenancy::usual(world), label, per_tenant).await
}

/// Live zones, as many for each of these tenants.
pub async fn zones_of(world: &World, tenants: &[Tenancy], label: &str, per_tenant: usize) -> Vec<Zone> {
    let mut zones = Vec::new();
    for Tenancy { api, auditor } in tenants {
        let made = (0..per_tenant).map(|_| async {
            Zone { domain: world.live(api, label).await, api: api.clone(), auditor: auditor.clone() }
        });
        zones.extend(futures::future::join_all(made).await);
    }
    zones
}

/// One request that changes one record, and what was said about it.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Of the zone, in the list that the writers were started with.
    pub zone: usize,
    /// Whole owner name.
    pub name: String,
    /// The value that goes.
    pub from: Option<String>,
    /// The value that comes.
    pub to: Option<String>,
    /// 0: no answer.
    pub status: u16,
    pub said: Said,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Acknowledged; the record's id.
    Applied(String),
    /// Refused, or never sent.
    NotApplied,
    /// 504, or the connection was lost with the request under way.
    Unknown,
}

impl Said {
    fn of(answer: &reqwest::Result<Answer>, id: &str) -> (u16, Self) {
        match answer {
            Ok(answer) => {
                let said = match (answer.status, answer.body["id"].as_str()) {
                    (200, Some(id)) => Self::Applied(id.to_owned()),
                    (204, _) => Self::Applied(id.to_owned()),
                    // Everything else that a replica says before or after the fact claims that nothing was written.
                    (400..=499 | 502 | 503, _) => Self::NotApplied,
                    _ => Self::Unknown,
                };
                (answer.status, said)
            }
            Err(error) if error.is_connect() => (0, Self::NotApplied),
            Err(_) => (0, Self::Unknown),
        }
    }
}

/// One addition by hand, at the replica that `caller` speaks to.
pub async fn add(caller: &Api, (index, zone): (usize, &Zone), value: &str) -> Attempt {
    let body = json!({"name": SHARED_LABEL, "type": "TXT", "content": value});
    let answer = caller.try_call(Method::POST, &zone.domain.records(), Some(body)).await;
    let (status, said) = Said::of(&answer, "");
    let name = zone.domain.at(SHARED_LABEL);
    Attempt { zone: index, name, from: None, to: Some(value.to_owned()), status, said }
}

/// Writers at work, and a look at every serial meanwhile.
pub struct Load {
    shared: Arc<Shared>,
    writers: Vec<JoinHandle<()>>,
    serials: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    acknowledged: AtomicUsize,
    attempts: Mutex<Vec<Attempt>>,
}

impl Load {
    /// Starts writers that each choose a replica anew for every request.
    pub fn start(world: &World, zones: &[Zone], writers_per_zone: usize, seed: u64) -> Self {
        static LOADS: AtomicUsize = AtomicUsize::new(1);
        let load = LOADS.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(Shared::default());
        let mut writers = Vec::new();
        for (index, zone) in zones.iter().enumerate() {
            for number in 0..writers_per_zone {
                let label = format!("l{load}z{index}w{number}");
                let writer = Writer {
                    zone: index,
                    domain: zone.domain.clone(),
                    replicas: world.urls.iter().map(|url| zone.api.at(url)).collect(),
                    rng: StdRng::seed_from_u64(seed ^ ((index as u64) << 32 | number as u64)),
                    label,
                    written: 0,
                    records: Vec::new(),
                    shared: shared.clone(),
                };
                writers.push(tokio::spawn(writer.run()));
            }
        }
        let names = zones.iter().map(|zone| zone.domain.name.clone()).collect();
        let serials = tokio::spawn(watch_serials(world.pdns_db.clone(), names, shared.clone()));
        Self { shared, writers, serials }
    }

    /// How many requests were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// How many requests have ended with this status so far; 0 for none.
    pub fn with_status(&self, status: u16) -> usize {
        self.shared.attempts().iter().filter(|attempt| attempt.status == status).count()
    }

    /// Waits until so many more are acknowledged.
    pub async fn until_acknowledged(&self, more: usize) {
        let wanted = self.acknowledged() + more;
        eventually_within(PROGRESS_LIMIT, "writers make progress", || async {
            let found = self.acknowledged();
            if found >= wanted { Ok(()) } else { Err(format!("{found} of {wanted} acknowledged")) }
        })
        .await;
    }

    /// Lets every writer finish its request; all that was attempted.
    pub async fn end(self) -> Vec<Attempt> {
        self.shared.stop.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.await.expect("a writer saw what must not be");
        }
        self.serials.await.expect("a serial went down");
        std::mem::take(&mut *self.shared.attempts())
    }
}

impl Shared {
    fn attempts(&self) -> std::sync::MutexGuard<'_, Vec<Attempt>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

struct Writer {
    zone: usize,
    domain: Domain,
    replicas: Vec<Api>,
    rng: StdRng,
    label: String,
    written: usize,
    records: Vec<Held>,
    shared: Arc<Shared>,
}

/// A record that a writer was told is there.
struct Held {
    id: String,
    name: String,
    value: String,
}

impl Writer {
    async fn run(mut self) {
        while !self.shared.stopped() {
            let said = match (self.rng.random_range(0..5), self.records.len()) {
                (_, RECORDS_PER_WRITER..) | (4, 1..) => self.delete().await,
                (3, 1..) => self.update().await,
                _ => self.add().await,
            };
            match said {
                Said::Applied(_) => {
                    self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                // A client that is refused does not hammer.
                Said::NotApplied | Said::Unknown => {
                    let pause = self.rng.random_range(10..40);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
            }
        }
    }

    async fn add(&mut self) -> Said {
        let value = self.next_value();
        let label = if self.rng.random_bool(0.7) { SHARED_LABEL } else { &self.label };
        let name = self.domain.at(label);
        let body = json!({"name": label, "type": "TXT", "content": value});
        let path = self.domain.records();
        let said = self.attempt(Method::POST, &path, Some(body), (&name, None, Some(&value)), "").await;
        if let Said::Applied(id) = &said {
            self.records.push(Held { id: id.clone(), name, value });
        }
        said
    }

    async fn update(&mut self) -> Said {
        let Held { id, name, value: from } = self.take();
        let to = self.next_value();
        let path = self.domain.record(&id);
        let body = json!({ "content": to });
        let said = self.attempt(Method::PATCH, &path, Some(body), (&name, Some(&from), Some(&to)), &id).await;
        match &said {
            Said::Applied(same) => {
                assert_eq!(*same, id, "{from} became {to} under another id");
                self.records.push(Held { id, name, value: to });
            }
            Said::NotApplied => self.records.push(Held { id, name, value: from }),
            Said::Unknown => {}
        }
        said
    }

    async fn delete(&mut self) -> Said {
        let Held { id, name, value } = self.take();
        let path = self.domain.record(&id);
        let said = self.attempt(Method::DELETE, &path, None, (&name, Some(&value), None), &id).await;
        if said == Said::NotApplied {
            self.records.push(Held { id, name, value });
        }
        said
    }

    async fn attempt(
        &mut self,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
        (name, from, to): (&str, Option<&String>, Option<&String>),
        id: &str,
    ) -> Said {
        let replica = &self.replicas[self.rng.random_range(0..self.replicas.len())];
        let answer = replica.try_call(method, path, body).await;
        let (status, said) = Said::of(&answer, id);
        if let Ok(answer) = &answer {
            let usual = [200, 204, 409, 429, 502, 503, 504].contains(&status);
            assert!(usual, "{} answered {status}: {}", answer.request, answer.text);
        }
        self.shared.attempts().push(Attempt {
            zone: self.zone,
            name: name.to_owned(),
            from: from.cloned(),
            to: to.cloned(),
            status,
            said: said.clone(),
        });
        said
    }

    fn next_value(&mut self) -> String {
        self.written += 1;
        format!("{}n{}", self.label, self.written)
    }

    fn take(&mut self) -> Held {
        let index = self.rng.random_range(0..self.records.len());
        self.records.swap_remove(index)
    }
}

/// Looks at the serials in PowerDNS's own database; none may ever go down. While the database is away there is nothing
/// to see.
async fn watch_serials(db: MySqlPool, zones: Vec<String>, shared: Arc<Shared>) {
    let mut highest = BTreeMap::<String, u32>::new();
    while !shared.stopped() {
        let look = sqlx::query_as("SELECT name, content FROM records WHERE type = 'SOA'").fetch_all(&db);
        let rows: Vec<(String, String)> = look.await.unwrap_or_default();
        for (zone, soa) in rows.into_iter().filter(|(zone, _)| zones.contains(zone)) {
            let serial = soa.split(' ').nth(2).and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{soa}"));
            let before = highest.insert(zone.clone(), serial).unwrap_or(0);
            assert!(before <= serial, "the serial of {zone} went down from {before} to {serial}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
