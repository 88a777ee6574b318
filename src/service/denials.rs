//! What known callers were refused for lack of a right: counted by actor, route and minute, for one audit entry each.
//! What nobody known was refused is a metric, not an entry.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::ids::TenantId;
use crate::storage::denials::{self, Refusals};
use crate::storage::{Db, within};

use super::audit::{Resource, entry};
use super::context::{ActorRecord, RequestInfo};

/// What was counted is written down this long after.
const FLUSH_AFTER: Duration = Duration::from_secs(1);
/// Rows that wait to be written; of a flood of more the rest is not counted.
const PENDING_MAX: usize = 10_000;

/// One refusal.
#[derive(Clone, Debug)]
pub struct Denial {
    pub actor: ActorRecord,
    /// The tenant acted in.
    pub tenant: TenantId,
    pub request: RequestInfo,
    /// Method and route pattern.
    pub route: String,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Denials {
    db: Db,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    pending: HashMap<(OffsetDateTime, [u8; 32]), Refusals>,
    flush_called: bool,
}

impl Denials {
    pub fn new(db: Db) -> Self {
        Self { db, state: Arc::default() }
    }

    /// Counts one. Never waits.
    pub fn count(&self, denial: &Denial, now: OffsetDateTime) {
        let minute = now.replace_second(0).and_then(|at| at.replace_nanosecond(0)).unwrap_or(now);
        let digest = digest(denial);
        let mut state = self.lock();
        if !state.pending.contains_key(&(minute, digest)) && state.pending.len() >= PENDING_MAX {
            return;
        }
        let refusals = state.pending.entry((minute, digest)).or_insert_with(|| {
            let Denial { actor, tenant, request, route } = denial;
            let resource = Resource { resource_type: "route", id: None, name: Some(route.clone()) };
            let change = (Value::Null, json!({ "route": route, "count": 0 }));
            let entry = entry(actor, request, Some(*tenant), "auth.denied", resource, change, now);
            Refusals { minute, digest, entry, count: 0 }
        });
        refusals.count += 1;
        if !std::mem::replace(&mut state.flush_called, true) {
            let later = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(FLUSH_AFTER).await;
                later.flush().await;
            });
        }
    }

    /// Writes down what was counted; what cannot be written is lost, and said.
    pub async fn flush(&self) {
        let pending = {
            let mut state = self.lock();
            state.flush_called = false;
            std::mem::take(&mut state.pending)
        };
        for refusals in pending.into_values() {
            if let Err(error) = within(denials::add(&self.db, &refusals)).await {
                tracing::warn!(count = refusals.count, %error, "refusals were not written down");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(denial: &Denial) -> [u8; 32] {
    let Denial { actor, tenant, request: _, route } = denial;
    let mut hash = Sha256::new();
    for part in [actor.actor_type.as_str(), &actor.actor_id, &tenant.to_string(), route] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
