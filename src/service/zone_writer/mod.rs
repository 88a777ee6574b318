//! The zone writer: the one way in which anything in PowerDNS is changed, from every door and across all replicas.
//!
//! Read, decide, intend, write, settle, answer: see [`protocol`] for the guards and ARCHITECTURE.md for the story.
//! Requests for one zone line up here and go in batches; each batch runs in a task of its own, never in a request's
//! future, so that a client that hangs up tears nothing.
//!
//! *Architecture invariant:* nothing outside this folder calls `Pdns::patch`, `create_zone`, `delete_zone`,
//! `set_api_rectify`, or makes, changes or deletes keys.

mod batch;
mod calls;
mod change;
mod compile;
mod decide;
mod emptying;
mod going_live;
pub mod id_sweep;
mod ids;
mod large;
mod life;
mod live_batch;
mod nameservers;
mod parts;
mod payload;
pub mod protocol;
mod queue;
mod reader;
mod recording;
mod recovery;
mod removal;
mod settle;
mod signing_step;
mod snapshot;
mod staged_batch;
mod status;
mod steps;
mod store;
mod transfers;
mod transition;
mod turns;

#[cfg(all(test, feature = "dev"))]
mod hold_tests;
#[cfg(all(test, feature = "dev"))]
mod secondary_tests;
#[cfg(all(test, feature = "dev"))]
mod snapshot_tests;
#[cfg(all(test, feature = "dev"))]
mod tests;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use moka::sync::Cache;

use crate::authz::{Permission, ZoneAccess};
use crate::clock::Clock;
use crate::fairness::{self, Places};
use crate::ids::{ChangeId, TenantId, ZoneId};
use crate::pdns::Pdns;
use crate::storage::{Db, intents, within};

use super::context::{ActorRecord, RequestInfo};
use super::idempotency::Run;
use super::platform::Platform;
use super::{Error, Result};
use batch::Batch;
use queue::Queues;
use snapshot::Snapshots;

pub use calls::Outgoing;
pub use decide::{Grouping, RecordOperation, RecordOutcome, RecordView, WriteOutcome};
pub use large::{Large, tally};
pub use parts::{ImportPart, PartRef, busy};
pub use payload::OUTGOING;
pub use reader::ZoneView;
pub use recovery::Recovered;
pub use signing_step::{Decided, SigningStep, StepFacts, is_as_wanted, withdrawn};
pub use status::Move;
#[cfg(any(test, feature = "fuzzing"))]
pub use store::from_server;
pub use transfers::{IncomingChange, OutgoingChange};
pub use transition::{Departure, GoLive, claimed};

/// Operations in one batch; 500 take PowerDNS 0.4 s.
const BATCH_OPERATIONS_MAX: usize = 500;
/// Batches of all zones between their intent and their settle: as many as PowerDNS gets calls at a time. More would hold
/// their zones' locks while they wait for it.
const BATCHES_MAX: usize = 8;
/// Requests that may wait for one zone; more are told to come back.
const WAITING_PER_ZONE_MAX: usize = 2_000;
/// Operations that may wait for one zone: forty batches, longer than a client waits.
const WAITING_OPERATIONS_MAX: usize = 40 * BATCH_OPERATIONS_MAX;

/// Records that the refusals of one request name as their conflicts, in all; a delegation alone may hide a hundred.
const CONFLICTS_NAMED_MAX: usize = 1_000;
/// A change of a tenant's settings counts after this long: one statement a second for each tenant that adds records.
const RECORD_LIMIT_LIFE: Duration = Duration::from_secs(1);
/// Tenants that add records within that time; some octets each.
const TENANTS_KNOWN_MAX: u64 = 10_000;

/// A request to change records of one zone.
#[derive(Clone, Debug)]
pub struct ZoneWrite {
    pub access: ZoneAccess,
    pub actor: ActorRecord,
    pub request: RequestInfo,
    pub operations: Vec<RecordOperation>,
    pub grouping: Grouping,
    /// Only asked: the answer is the same, nothing is written.
    pub dry_run: bool,
    /// What is more than one PATCH takes is refused, but for a request that says how it becomes a job.
    pub large: Option<Large>,
}

/// Cheap to clone; one a process.
#[derive(Clone)]
pub struct ZoneWriter {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    pdns: Pdns,
    clock: Clock,
    platform: Platform,
    queues: Queues,
    /// Batches under way in PowerDNS, see [`BATCHES_MAX`].
    slots: Places,
    snapshots: Snapshots,
    /// Where PowerDNS answers DNS, if ScaiDNS is told.
    dns_address: Option<String>,
    /// How many records a tenant may have in a zone, for as long as a change of that may take to count.
    record_limits: Cache<TenantId, u32>,
}

impl ZoneWriter {
    pub fn new(db: Db, pdns: Pdns, clock: Clock, platform: Platform, dns_address: Option<String>) -> Self {
        let (queues, snapshots) = (Queues::default(), Snapshots::default());
        let slots = Places::new("batches", BATCHES_MAX);
        let record_limits = Cache::builder().max_capacity(TENANTS_KNOWN_MAX).time_to_live(RECORD_LIMIT_LIFE).build();
        let inner = Inner { db, pdns, clock, platform, queues, slots, snapshots, dns_address, record_limits };
        Self { inner: Arc::new(inner) }
    }

    /// Applies a request's operations as they are grouped, in one change, and answers only from what is committed.
    pub async fn apply(&self, write: ZoneWrite) -> Result<WriteOutcome> {
        may_write(&write.access)?;
        let zone = write.access.zone().id;
        let party = Some(write.access.zone().tenant);
        let step = write.request.run.as_ref().filter(|_| !write.dry_run).map(Run::next_step);
        if let Some(step) = step.as_ref().filter(|step| step.resumed)
            && let Some(outcome) = self.inner.made_before(step).await?
        {
            return Ok(outcome);
        }
        let (answer, start) = self.inner.queues.push(zone, write, step)?;
        if start {
            tokio::spawn(fairness::scope_for(party, self.clone().work_off(zone)));
        }
        fairness::aside(answer).await.unwrap_or_else(|_| Err(Error::Internal("a batch ended without an answer".into())))
    }

    /// Runs batches until nothing waits for this zone.
    async fn work_off(self, zone: ZoneId) {
        while let Some(requests) = self.inner.queues.take(zone) {
            let company = requests.len();
            // a batch that panics answers its requests with an error and must not hold up those behind it
            let batch = AssertUnwindSafe(Batch::new(&self.inner, zone, requests).run());
            match batch.catch_unwind().await {
                Ok(true) => {
                    let known = self.inner.snapshots.get(zone);
                    turns::stand_back(known.map_or(0, |known| known.row.record_count)).await;
                }
                Ok(false) => {}
                Err(_) => tracing::error!(%zone, "a batch panicked"),
            }
            if company > 1 {
                self.gather(zone, company).await;
            }
        }
    }

    /// Whoever writes in a loop asks again a moment after the answer. If the next batch left at once, half of the
    /// writers would always miss it; so, after a batch of several, those who come within a moment go along. Somebody
    /// who writes alone never waits.
    async fn gather(&self, zone: ZoneId, company: usize) {
        const LOOKS: u32 = 3;
        const LOOK: Duration = Duration::from_millis(1);
        let mut waiting = self.inner.queues.waiting(zone);
        for _ in 0..LOOKS {
            tokio::time::sleep(LOOK).await;
            let now = self.inner.queues.waiting(zone);
            if now == waiting || now >= 2 * company {
                return;
            }
            waiting = now;
        }
    }

    /// Settles a change past its deadline, which recovery cannot decide, as an operator says that it ended; None: there
    /// is none of this id.
    pub async fn settle_as(&self, change: ChangeId, ran: bool) -> Result<Option<Recovered>> {
        let Some(intent) = within(intents::find_overdue(&self.inner.db, change)).await? else { return Ok(None) };
        Ok(Some(self.inner.recovery().run_with(intent, Some(ran)).await))
    }

    /// Recovers what is past its deadline; how many were looked at.
    pub async fn recover_overdue(&self) -> Result<usize> {
        const INTENTS_PER_RUN: u32 = 50; // each takes some calls to PowerDNS; the next run goes on
        let overdue = intents::overdue(&self.inner.db, INTENTS_PER_RUN).await?;
        let count = overdue.len();
        for intent in overdue {
            self.inner.recovery().run(intent).await;
        }
        Ok(count)
    }
}

/// The last line of defence behind the handlers' own decisions: a proof of reading writes nothing.
fn may_write(access: &ZoneAccess) -> Result<()> {
    match access.permission() {
        Permission::RecordsCreate | Permission::RecordsUpdate | Permission::RecordsDelete => Ok(()),
        other => Err(Error::Internal(format!("a write with a proof of {other} only"))),
    }
}

impl Inner {
    fn recovery(&self) -> recovery::Recovery<'_> {
        recovery::Recovery { db: &self.db, pdns: &self.pdns, clock: &self.clock, platform: &self.platform }
    }
}
