//! Webhooks: what happens in the directory, told to whoever subscribed, signed, at least once, with retries; events
//! may overtake each other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use time::format_description::well_known::Rfc3339;

use super::State;
use super::faults::{Answers, Webhooks};
use super::sessions::random;

/// Seconds before each further attempt.
const RETRY_AFTER: [u64; 8] = [1, 1, 2, 4, 8, 15, 30, 60];
/// How often held ones look whether they may go.
const HELD_LOOK: Duration = Duration::from_millis(50);
/// Deliveries that are remembered, to look at.
const DELIVERIES_KEPT: usize = 1_000;
/// One attempt.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Subscriber {
    pub(super) url: String,
    #[serde(skip_serializing)]
    pub(super) secret: String,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Delivery {
    pub(super) event_id: String,
    pub(super) event_type: String,
    pub(super) url: String,
    pub(super) attempt: usize,
    /// None: no answer.
    pub(super) status: Option<u16>,
}

#[derive(Debug, Default)]
pub(super) struct Hooks {
    subscribers: Mutex<Vec<Subscriber>>,
    deliveries: Mutex<VecDeque<Delivery>>,
    ended: AtomicBool,
    client: reqwest::Client,
}

impl Hooks {
    pub(super) fn subscribe(&self, subscriber: Subscriber) {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(subscriber);
    }

    pub(super) fn subscribers(&self) -> Vec<Subscriber> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// No further attempt.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    fn note(&self, delivery: Delivery) {
        let mut deliveries = self.deliveries.lock().unwrap_or_else(PoisonError::into_inner);
        if deliveries.len() >= DELIVERIES_KEPT {
            deliveries.pop_front();
        }
        deliveries.push_back(delivery);
    }
}

/// What happened to one thing, in ScaiKey's full form.
pub(super) struct Happening<'a> {
    pub(super) event_type: &'a str,
    pub(super) resource: (&'a str, &'a str),
    pub(super) tenant: Option<&'a str>,
    pub(super) partner: Option<&'a str>,
    pub(super) data: Value,
}

impl State {
    /// Tells all subscribers.
    pub(super) fn happened(self: &Arc<Self>, happening: Happening<'_>) {
        let Happening { event_type, resource: (kind, id), tenant, partner, data } = happening;
        let timestamp = self.clock.now().format(&Rfc3339).unwrap_or_default();
        self.send(json!({
            "event_id": format!("evt_{}", random()),
            "event_type": event_type,
            "timestamp": timestamp,
            "resource": {"type": kind, "id": id},
            "actor": {"type": "application", "id": super::APPLICATION_ID},
            "tenant_id": tenant,
            "partner_id": partner,
            "data": data,
        }));
    }

    /// Sends a body as it stands.
    pub(super) fn send(self: &Arc<Self>, body: Value) {
        for subscriber in self.hooks.subscribers() {
            tokio::spawn(deliver(self.clone(), subscriber, body.clone()));
        }
    }
}

async fn deliver(state: Arc<State>, subscriber: Subscriber, body: Value) {
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let (event_id, event_type) = (text("event_id"), text("event_type"));
    let raw = sorted(&body).to_string();
    for attempt in 0..=RETRY_AFTER.len() {
        while is_held(&state) && !state.hooks.ended.load(Ordering::Relaxed) {
            tokio::time::sleep(HELD_LOOK).await;
        }
        if state.hooks.ended.load(Ordering::Relaxed) {
            return;
        }
        let status = attempt_once(&state, &subscriber, &event_id, &event_type, &raw).await;
        let url = subscriber.url.clone();
        state.hooks.note(Delivery {
            event_id: event_id.clone(),
            event_type: event_type.clone(),
            url,
            attempt: attempt + 1,
            status,
        });
        if status.is_some_and(|status| (200..300).contains(&status)) {
            return;
        }
        let Some(seconds) = RETRY_AFTER.get(attempt) else { return };
        tokio::time::sleep(Duration::from_secs(*seconds)).await;
    }
}

fn is_held(state: &State) -> bool {
    let faults = state.faults();
    faults.webhooks == Webhooks::Held || faults.answers == Answers::Down
}

async fn attempt_once(
    state: &State,
    Subscriber { url, secret }: &Subscriber,
    event_id: &str,
    event_type: &str,
    raw: &str,
) -> Option<u16> {
    let is_wrong = state.faults().webhooks == Webhooks::WrongSignature;
    let secret = if is_wrong { "another secret" } else { secret };
    let t = state.now();
    let request = state.hooks.client.post(url).timeout(TIMEOUT).header("Content-Type", "application/json");
    let request = request
        .header("X-ScaiKey-Signature", signature(secret, t, raw.as_bytes()))
        .header("X-ScaiKey-Event-Id", event_id)
        .header("X-ScaiKey-Event-Type", event_type)
        .header("X-ScaiKey-Webhook-ID", "whk_dev")
        .header("X-ScaiKey-Timestamp", t.to_string())
        .header("User-Agent", "ScaiKey-Webhook/1.0");
    request.body(raw.to_owned()).send().await.ok().map(|answer| answer.status().as_u16())
}

/// `t=…,v1=…`, as the header has it.
pub fn signature(secret: &str, t: i64, body: &[u8]) -> String {
    // an HMAC takes a key of any length
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{t}.").as_bytes());
    mac.update(body);
    format!("t={t},v1={}", hex::encode(mac.finalize().into_bytes()))
}

/// Compact with sorted keys, whatever this build's maps do.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            Value::Object(names.into_iter().map(|name| (name.clone(), sorted(&fields[name]))).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
