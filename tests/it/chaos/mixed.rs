//! Writers of what is more than one record: bulk calls, desired states, single values, zone files, templates, and their
//! removal; half of them under an idempotency key and repeated until there is an answer, and then once more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::Common;
use crate::crash::ledger::Zone;
use crate::support::{Answer, Api, World};

/// A request under a key is repeated for so long; then nobody knows.
const REPEATED_FOR: Duration = Duration::from_secs(90);
/// Records that the template makes.
const TEMPLATE_RECORDS: usize = 3;
/// Sets of records a writer holds at most; then it removes one.
const HELD_MAX: usize = 5;
/// What a replica may say while everything fails.
const USUAL: [u16; 8] = [200, 204, 400, 409, 429, 502, 503, 504];

/// One request, however often it was sent.
#[derive(Debug, Clone)]
pub struct Operation {
    /// With what the ids of its requests begin.
    pub id: String,
    pub zone: usize,
    pub kind: &'static str,
    /// Contents of TXT records, each unique.
    pub values: Vec<String>,
    pub removes: bool,
    pub status: u16,
    /// None: nobody knows.
    pub applied: Option<bool>,
}

/// How many of each kind, and of each status.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<(&'static str, u16), usize>);

impl Tally {
    pub fn of(operations: &[Operation]) -> Self {
        let mut tally = Self::default();
        for operation in operations {
            *tally.0.entry((operation.kind, operation.status)).or_insert(0) += 1;
        }
        tally
    }
}

pub async fn start(
    world: &World,
    zones: &[Zone],
    writers: usize,
    seed: u64,
    common: &Arc<Common>,
) -> Vec<JoinHandle<Vec<Operation>>> {
    let mut started = Vec::new();
    for (zone, of) in zones.iter().enumerate() {
        let template = template(of).await;
        for number in 0..writers {
            let writer = Writer {
                zone,
                of: of.clone(),
                replicas: world.urls.iter().map(|url| of.api.at(url)).collect(),
                rng: StdRng::seed_from_u64(seed ^ 0x6d69_7865 ^ ((zone as u64) << 32 | number as u64)),
                label: format!("z{zone}w{number}"),
                done: Vec::new(),
                held: Vec::new(),
                template: template.clone(),
                common: common.clone(),
            };
            started.push(tokio::spawn(writer.run()));
        }
    }
    started
}

/// One whose records are named by what is given to it.
async fn template(of: &Zone) -> Value {
    let record = |n: usize| json!({"name": format!("${{id}}r{n}"), "type": "TXT", "content": format!("${{id}}v{n}"), "ttl": 300});
    let records: Vec<Value> = (0..TEMPLATE_RECORDS).map(record).collect();
    let variables = json!([{"name": "id", "required": true}]);
    let body = json!({"name": format!("of {}", of.domain.name), "records": records, "variables": variables});
    of.api.post("/templates/", body).await.ok()["id"].clone()
}

struct Writer {
    zone: usize,
    of: Zone,
    replicas: Vec<Api>,
    rng: StdRng,
    label: String,
    done: Vec<Operation>,
    /// What it was told is there: names and values.
    held: Vec<Vec<(String, String)>>,
    /// The id of one that makes as many records as an operation has.
    template: Value,
    common: Arc<Common>,
}

impl Writer {
    async fn run(mut self) -> Vec<Operation> {
        while !self.common.stopped() {
            let known = if self.held.len() > HELD_MAX || (!self.held.is_empty() && self.rng.random_bool(0.3)) {
                self.remove().await
            } else {
                self.add().await
            };
            if !known {
                let pause = self.rng.random_range(10..60);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
        self.done
    }

    async fn add(&mut self) -> bool {
        let id = format!("{}n{}", self.label, self.done.len());
        let kind = self.rng.random_range(0..5);
        let count = if kind == 4 { TEMPLATE_RECORDS } else { self.rng.random_range(2..6) };
        let records: Vec<(String, String)> = (0..count).map(|n| (format!("{id}r{n}"), format!("{id}v{n}"))).collect();
        let record = |(name, value): &(String, String)| json!({"name": name, "type": "TXT", "content": value});
        let rrset =
            |(name, value): &(String, String)| json!({"name": name, "type": "TXT", "records": [{"content": value}]});
        let (kind, method, path, body): (&'static str, _, _, Value) = match kind {
            0 => {
                let records: Vec<Value> = records.iter().map(record).collect();
                ("bulk", Method::POST, format!("{}/bulk", self.of.domain.records()), json!({ "records": records }))
            }
            1 => {
                let rrsets: Vec<Value> = records.iter().map(rrset).collect();
                ("desired state", Method::PUT, self.of.domain.rrsets(), json!({ "rrsets": rrsets }))
            }
            2 => {
                let with_op = |entry| {
                    let mut change = rrset(entry);
                    change["op"] = "add".into();
                    change
                };
                let changes: Vec<Value> = records.iter().map(with_op).collect();
                ("values", Method::PATCH, self.of.domain.rrsets(), json!({ "changes": changes }))
            }
            4 => {
                let variables = json!({ "id": id });
                let body =
                    json!({"template_id": self.template, "domain_id": self.of.domain.id, "variables": variables});
                ("template", Method::POST, "/templates/".to_owned(), body)
            }
            _ => {
                let lines: Vec<String> =
                    records.iter().map(|(name, value)| format!("{name} 300 IN TXT \"{value}\"")).collect();
                let body = json!({"format": "bind", "mode": "merge", "content": lines.join("\n") + "\n"});
                ("import", Method::POST, format!("{}/import/text", self.of.domain.path()), body)
            }
        };
        let applied = self.ask((id, kind, false), &records, method, &path, body).await;
        if applied == Some(true) {
            self.held.push(records);
        }
        applied.is_some()
    }

    async fn remove(&mut self) -> bool {
        let id = format!("{}n{}", self.label, self.done.len());
        let chosen = self.rng.random_range(0..self.held.len());
        let records = self.held.swap_remove(chosen);
        let rrsets: Vec<Value> =
            records.iter().map(|(name, _)| json!({"name": name, "type": "TXT", "records": []})).collect();
        let path = self.of.domain.rrsets();
        let applied = self.ask((id, "removal", true), &records, Method::PUT, &path, json!({ "rrsets": rrsets })).await;
        if applied == Some(false) {
            self.held.push(records);
        }
        applied.is_some()
    }

    /// What was answered is answered again, by whichever replica.
    async fn again(&mut self, (method, path, body): (&Method, &str, &Value), id: &str, first: &Answer) {
        let replica = &self.replicas[self.rng.random_range(0..self.replicas.len())];
        let request = replica.request(method.clone(), path).json(body);
        let request = request.header("X-Request-ID", format!("chaos-{id}-again"));
        let request = request.header("Idempotency-Key", format!("chaos-{id}"));
        if let Ok(answer) = replica.try_send(request).await
            && !is_again(&answer, first)
        {
            let (request, status, text) = (&answer.request, answer.status, &answer.text);
            self.common.wrong(format!("{request} for {id} again answered {status}: {text}; first {}", first.text));
        }
    }

    /// Whether it was done, as far as it was said.
    async fn ask(
        &mut self,
        (id, kind, removes): (String, &'static str, bool),
        records: &[(String, String)],
        method: Method,
        path: &str,
        body: Value,
    ) -> Option<bool> {
        let keyed = self.rng.random_bool(0.5);
        let began = Instant::now();
        let mut sent = 0;
        let (status, applied) = loop {
            let replica = &self.replicas[self.rng.random_range(0..self.replicas.len())];
            let mut request = replica.request(method.clone(), path).json(&body);
            request = request.header("X-Request-ID", format!("chaos-{id}-{sent}"));
            if keyed {
                request = request.header("Idempotency-Key", format!("chaos-{id}"));
            }
            let answer = replica.try_send(request).await;
            if let Ok(answer) = &answer
                && !USUAL.contains(&answer.status)
            {
                self.common
                    .wrong(format!("{kind} {id}: {} answered {}: {}", answer.request, answer.status, answer.text));
            }
            sent += 1;
            let applied = said(&answer);
            let status = answer.as_ref().map_or(0, |answer| answer.status);
            let is_running = answer.as_ref().is_ok_and(|answer| answer.body["code"] == "idempotency_in_progress");
            let is_final = applied == Some(true) || (applied == Some(false) && status < 500 && status != 0);
            if !keyed || (is_final && !is_running) {
                if let (true, Ok(answer)) = (keyed && applied == Some(true), &answer) {
                    self.again((&method, path, &body), &id, answer).await;
                }
                break (status, applied);
            }
            if began.elapsed() > REPEATED_FOR {
                break (status, None);
            }
            let pause = self.rng.random_range(50..300);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        };
        let values = records.iter().map(|(_, value)| value.clone()).collect();
        self.done.push(Operation { id, zone: self.zone, kind, values, removes, status, applied });
        applied
    }
}

/// The same answer, or that there is none just now.
fn is_again(answer: &Answer, first: &Answer) -> bool {
    match answer.status {
        200 | 204 => (answer.status, &answer.text) == (first.status, &first.text),
        status => [409, 429, 502, 503, 504].contains(&status),
    }
}

fn said(answer: &reqwest::Result<Answer>) -> Option<bool> {
    match answer {
        Ok(answer) => match answer.status {
            200 | 204 => Some(true),
            400..=499 | 502 | 503 => Some(false),
            _ => None,
        },
        Err(error) if error.is_connect() => Some(false),
        Err(_) => None,
    }
}
