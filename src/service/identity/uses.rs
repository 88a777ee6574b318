//! Uses of API keys: counted in memory and written down about once a second, so that a request never waits for it.
//! A crash loses the last second. The first use of a key from a network on a day makes an audit entry, exactly one on
//! all replicas: a unique row settles who writes it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde_json::Value;
use time::{Date, OffsetDateTime};

use crate::authz::{Actor, Caller};
use crate::ids::{ApiKeyId, TenantId};
use crate::storage::api_keys::{self, Uses};
use crate::storage::{self, Db, StorageError};

use super::super::audit::{Resource, entry};
use super::super::{ActorRecord, RequestInfo};

const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// Keys counted between two flushes; the uses of more are not counted.
const PENDING_KEYS_MAX: usize = 10_000;

/// Networks that wait to be noted; more are noted when they come again.
const PENDING_NETWORKS_MAX: usize = 1_000;

/// Networks remembered as noted today, to spare the database the question.
const SEEN_NETWORKS_MAX: usize = 50_000;

/// Audit entries of uses for one key a day.
const NETWORKS_PER_KEY_MAX: u32 = 100;

/// A network in the sense of the audit log.
const IPV4_PREFIX: u8 = 24;
const IPV6_PREFIX: u8 = 48;

#[derive(Clone)]
pub struct KeyUses {
    db: Db,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    pending: HashMap<ApiKeyId, Uses>,
    first_uses: Vec<FirstUse>,
    /// Of [`State::day`].
    seen: HashSet<(ApiKeyId, String)>,
    day: Option<Date>,
    /// A flush will come: whoever counts need not call for one.
    flush_called: bool,
}

/// Perhaps the first use of a key from a network today.
struct FirstUse {
    actor: ActorRecord,
    key: ApiKeyId,
    name: String,
    tenant: TenantId,
    network: String,
    request: RequestInfo,
    at: OffsetDateTime,
}

impl KeyUses {
    pub fn new(db: Db) -> Self {
        Self { db, state: Arc::default() }
    }

    /// Counts one use. Never waits.
    pub fn count(&self, caller: &Caller, request: &RequestInfo, now: OffsetDateTime) {
        let from = request.ip_address;
        let Actor::ApiKey { id, name, .. } = &caller.actor else { return };
        usage_metric(*id);
        let mut state = self.lock();
        if !state.pending.contains_key(id) && state.pending.len() >= PENDING_KEYS_MAX {
            return;
        }
        let uses = Uses { key: *id, count: 0, last_at: now, last_ip: None };
        let uses = state.pending.entry(*id).or_insert(uses);
        uses.count += 1;
        uses.last_at = now;
        uses.last_ip = from.map(|address| address.to_string());
        let network = network(from);
        if state.is_first(*id, &network, now.date()) {
            let actor = ActorRecord::from(&caller.actor);
            let (name, tenant, request) = (name.clone(), caller.tenant, request.clone());
            let first = FirstUse { actor, key: *id, name, tenant, network, request, at: now };
            state.first_uses.push(first);
        }
        if !std::mem::replace(&mut state.flush_called, true) {
            let later = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(FLUSH_INTERVAL).await;
                later.flush().await;
            });
        }
    }

    /// Writes down what was counted; what cannot be written is lost, and said.
    pub async fn flush(&self) {
        let (pending, first_uses, new_day) = self.lock().take();
        for uses in pending.into_values() {
            if let Err(error) = storage::within(api_keys::count_uses(&self.db, &uses)).await {
                tracing::warn!(key = %uses.key, count = uses.count, %error, "uses of an api key were not counted");
            }
        }
        for first in first_uses {
            if let Err(error) = storage::within(note(&self.db, &first)).await {
                tracing::warn!(key = %first.key, %error, "a first use of an api key was not noted");
                self.lock().seen.remove(&(first.key, first.network));
            }
        }
        if let Some(yesterday) = new_day.and_then(Date::previous_day)
            && let Err(error) = storage::within(api_keys::forget_networks(&self.db, yesterday)).await
        {
            tracing::warn!(%error, "networks of past days were not forgotten");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether this replica has not noted it today.
    fn is_first(&mut self, key: ApiKeyId, network: &str, today: Date) -> bool {
        if self.day != Some(today) {
            self.day = Some(today);
            self.seen.clear();
        }
        if self.first_uses.len() >= PENDING_NETWORKS_MAX || self.seen.len() >= SEEN_NETWORKS_MAX {
            return false;
        }
        self.seen.insert((key, network.to_owned()))
    }

    /// All that waits, and today where something was seen for the first time.
    fn take(&mut self) -> (HashMap<ApiKeyId, Uses>, Vec<FirstUse>, Option<Date>) {
        self.flush_called = false;
        let first_uses = std::mem::take(&mut self.first_uses);
        let day = self.day.filter(|_| !first_uses.is_empty());
        (std::mem::take(&mut self.pending), first_uses, day)
    }
}

async fn note(db: &Db, first: &FirstUse) -> storage::Result<()> {
    let FirstUse { actor, key, name, tenant, network, request, at } = first;
    let mut tx = db.begin().await?;
    if api_keys::note_network(&mut tx, *key, at.date(), network, NETWORKS_PER_KEY_MAX).await? {
        let resource = Resource { resource_type: "api_key", id: Some(key.to_string()), name: Some(name.clone()) };
        let change = (Value::Null, Value::Null);
        let entry = entry(actor, request, Some(*tenant), "api_key.use", resource, change, *at);
        storage::audit::append(&mut tx, None, &[entry]).await?;
    }
    tx.commit().await.map_err(StorageError::from)
}

/// Of the first thousand keys that call each has a counter of its own, the others have one together: a label is kept for
/// as long as the process runs.
fn usage_metric(id: ApiKeyId) {
    const KEYS_MAX: usize = 1_000; // contract
    static NAMED: Mutex<BTreeSet<ApiKeyId>> = Mutex::new(BTreeSet::new());
    let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
    let is_named = named.contains(&id) || (named.len() < KEYS_MAX && named.insert(id));
    drop(named);
    let label = if is_named { id.to_string() } else { "other".to_owned() };
    metrics::counter!("scaidns_api_key_usage_total", "key_id" => label).increment(1);
}

fn network(from: Option<IpAddr>) -> String {
    let net = match from {
        Some(IpAddr::V4(address)) => Ipv4Net::new(address, IPV4_PREFIX).map(|net| IpNet::from(net.trunc())).ok(),
        Some(IpAddr::V6(address)) => Ipv6Net::new(address, IPV6_PREFIX).map(|net| IpNet::from(net.trunc())).ok(),
        None => None,
    };
    net.map_or_else(|| "unknown".to_owned(), |net| net.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_are_one() {
        let of = |text: &str| network(Some(text.parse().expect("address")));
        assert_eq!(of("192.0.2.7"), "192.0.2.0/24");
        assert_eq!(of("2001:db8:1:2::3"), "2001:db8:1::/48");
        assert_eq!(network(None), "unknown");
    }

    #[test]
    fn a_network_is_first_once_a_day() {
        let mut state = State::default();
        let key = ApiKeyId::new();
        let today = OffsetDateTime::UNIX_EPOCH.date();
        assert!(state.is_first(key, "192.0.2.0/24", today));
        assert!(!state.is_first(key, "192.0.2.0/24", today));
        assert!(state.is_first(key, "198.51.100.0/24", today));
        assert!(state.is_first(key, "192.0.2.0/24", today.next_day().expect("a day")));
    }
}
