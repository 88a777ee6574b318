//! The steps in a zone's own life: going live, withdrawal and return, the end. Each is an intent of its kind, under
//! the same lock, guards and recovery as a write of records.

use std::time::Duration;

use tokio::time::Instant;

use crate::authz::ZoneAccess;
use crate::dns::{RecordType, RrsetChange, ZoneContent};
use crate::ids::{ChangeId, ValidationId, ZoneId};
use crate::pdns::{DeleteAnswer, ServerZone};
use crate::storage::audit::AuditEntry;
use crate::storage::intents::{self, BatchOutcome, Intent};
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{fences, within};
use crate::tenancy::ZoneStatus;

use super::super::context::{ActorRecord, RequestInfo};
use super::super::{Error, Result};
use super::batch::Finished;
use super::life::{self, Sent};
use super::payload::{Entry, Kind, Payload};
use super::settle::{Ending, settle};
use super::store::{self, LiveState, ZoneState};
use super::{Inner, ZoneWriter, protocol};

/// How long a transition waits for other changes of the zone.
const PATIENCE: Duration = Duration::from_secs(10);
const LOCKED_PAUSE: Duration = Duration::from_millis(30);

/// A claim that has been proven.
#[derive(Clone, Debug)]
pub struct GoLive {
    pub access: ZoneAccess,
    pub actor: ActorRecord,
    pub request: RequestInfo,
    pub validation: Option<ValidationId>,
    /// Written with the settle: only if it went live.
    pub audit: Vec<AuditEntry>,
}

/// A zone that is to go, or to be withdrawn or returned.
#[derive(Clone, Debug)]
pub struct Departure {
    pub access: ZoneAccess,
    pub actor: ActorRecord,
    pub request: RequestInfo,
    pub audit: Vec<AuditEntry>,
}

/// Where one attempt at a transition ended.
enum Step<T> {
    Done(T),
    /// The zone is locked or moved.
    Again,
}

impl ZoneWriter {
    /// Puts a proven claim into service: dark creation, one guarded PATCH, status `active`. Safe to repeat.
    pub async fn go_live(&self, request: GoLive) -> Result<()> {
        let inner = self.inner.clone();
        in_a_task(async move {
            let zone = request.access.zone().id;
            inner.until_done(zone, |row| inner.try_go_live(row, &request)).await
        })
        .await
    }

    /// Withdraws a live zone or returns a withdrawn one: its SOA disabled or enabled, the status with it.
    pub async fn set_status(&self, request: Departure, status: ZoneStatus) -> Result<()> {
        let inner = self.inner.clone();
        in_a_task(async move {
            let zone = request.access.zone().id;
            inner.until_done(zone, |row| inner.try_set_status(row, &request, status)).await
        })
        .await
    }

    /// Removes a zone that is not served: row, content and PowerDNS zone. History and audit stay.
    pub async fn delete(&self, request: Departure) -> Result<()> {
        let inner = self.inner.clone();
        in_a_task(async move {
            let zone = request.access.zone().id;
            inner.until_done(zone, |row| inner.try_delete(row, &request)).await
        })
        .await
    }

    /// Takes down fences that have done their duty.
    pub async fn sweep_fences(&self) -> Result<usize> {
        const FENCES_PER_RUN: u32 = 100; // a PATCH a zone; the next run goes on
        let started_at = self.inner.pdns.info().await?.started_at;
        let mut by_zone = std::collections::BTreeMap::<String, Vec<ChangeId>>::new();
        for (name, change) in fences::removable(&self.inner.db, started_at, FENCES_PER_RUN).await? {
            by_zone.entry(name).or_default().push(change);
        }
        let count = by_zone.len();
        for (name, changes) in by_zone {
            if let Some(zone) = zones::live_of_name(&self.inner.db, &name).await? {
                self.inner.until_done(zone, |row| self.inner.try_sweep(row, &changes)).await?;
            } else {
                fences::forget(&self.inner.db, &name, &changes).await?;
            }
        }
        Ok(count)
    }
}

/// A request that is given up must not tear what it began.
async fn in_a_task<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(Error::Internal(error.to_string())))
}

impl Inner {
    async fn until_done<T, F: Future<Output = Result<Step<T>>>>(
        &self,
        zone: ZoneId,
        attempt: impl Fn(ZoneRow) -> F,
    ) -> Result<T> {
        let patience = Instant::now() + PATIENCE;
        loop {
            let found = within(zones::for_write(&self.db, zone)).await?;
            let Some((row, mark)) = found else { return Err(Error::NotFound("Domain")) };
            match mark {
                None => {
                    if let Step::Done(done) = attempt(row).await? {
                        return Ok(done);
                    }
                }
                Some(mark) if mark.overdue => {
                    if let Some(intent) = intents::find(&self.db, mark.change).await? {
                        self.recovery().run(intent).await;
                    }
                }
                Some(_) => {}
            }
            if Instant::now() >= patience {
                return Err(Error::unavailable("The zone is busy with another change"));
            }
            tokio::time::sleep(LOCKED_PAUSE).await;
        }
    }

    async fn try_go_live(&self, row: ZoneRow, request: &GoLive) -> Result<Step<()>> {
        if row.status == ZoneStatus::Active {
            return Ok(Step::Done(()));
        }
        if row.status != ZoneStatus::PendingValidation {
            return Err(Error::conflict("domain_inactive", "The domain is withdrawn"));
        }
        if self.nameservers.is_empty() {
            return Err(Error::unavailable("This platform has no nameservers yet; its operator must set NAMESERVERS"));
        }
        let started_at = self.pdns.info().await?.started_at;
        if fences::is_resting(&self.db, row.name.as_str(), started_at).await? {
            let message = "A deletion of this name has no known outcome yet; the name rests for up to an hour";
            return Err(Error::Unavailable { message: message.into(), retry_after: 60 });
        }
        if zones::live_of_name(&self.db, row.name.as_str()).await?.is_some() {
            return Err(claimed());
        }
        let state = store::read(&self.db, &self.pdns, &row).await?;
        let (content, changes) = self.live_content(&row, state.content);
        let payload =
            self.payload(&row, Kind::GoLive { validation: request.validation }, &content, Some((request, &changes)));
        let Some(intent) = self.intend(&row, payload_change(&payload), &payload).await? else { return Ok(Step::Again) };
        let now = self.clock.now();
        let sent = match life::ensure_dark(&self.pdns, &row.name, row.id, &self.nameservers, now).await {
            Ok(dark) => self.fill_and_light(&row, &intent, &content, dark).await,
            // a POST may still land, as a dark zone that harms nobody; the next attempt goes on from there
            Err(error) => {
                self.drop_intent(&intent, &payload, &error.to_string()).await?;
                return Err(error);
            }
        };
        self.conclude(&row, &intent, &payload, sent).await.map(Step::Done)
    }

    /// Brings a dark zone to the wanted content. What does not fit into one PATCH goes ahead while the zone is dark,
    /// under the same guard; the last PATCH has the SOA, and is the one that counts.
    async fn fill_and_light(&self, row: &ZoneRow, intent: &Intent, content: &ZoneContent, dark: ServerZone) -> Sent {
        let ZoneState { content: there, live } = store::from_server(&row.name, dark);
        let marker = live.and_then(|live| live.marker).unwrap_or_else(|| protocol::MARKER_BORN.to_owned());
        let (mut parts, last) = life::filling(&there, content);
        let zone = row.name.as_str();
        for part in &mut parts {
            let patch = protocol::write_dark(&row.name, intent.change, &marker, part);
            match Sent::of(self.pdns.patch(zone, &patch).await, intent.change) {
                Sent::Applied { .. } => {}
                other => return other,
            }
        }
        Sent::of(self.pdns.patch(zone, &protocol::write(&row.name, intent.change, &last)).await, intent.change)
    }

    /// The staged records with the platform's SOA and, unless the tenant brought its own, its nameservers.
    fn live_content(&self, row: &ZoneRow, mut content: ZoneContent) -> (ZoneContent, Vec<RrsetChange>) {
        let mut changes = Vec::new();
        for (key, rrset) in life::platform_rrsets(&row.name, &self.nameservers, self.clock.now()) {
            if key.record_type == RecordType::Ns && content.get(&key).is_some() {
                continue;
            }
            content.set(key.clone(), Some(rrset.clone()));
            changes.push(RrsetChange { key, before: None, after: Some(rrset) });
        }
        (content, changes)
    }

    async fn try_set_status(&self, row: ZoneRow, request: &Departure, status: ZoneStatus) -> Result<Step<()>> {
        if row.status == status {
            return Ok(Step::Done(()));
        }
        if row.status == ZoneStatus::PendingValidation {
            return Err(Error::conflict("domain_pending", "The domain is not validated yet"));
        }
        let state = store::read(&self.db, &self.pdns, &row).await?;
        let served = status == ZoneStatus::Active;
        let change = life::switch_soa(&state.content, !served);
        let (Some(change), Some(live)) = (change, state.live) else {
            return Err(Error::Upstream(format!("PowerDNS: the zone {} has no SOA", row.name)));
        };
        let mut payload = self.status_payload(&row, request, status, &state.content);
        take_before(&mut payload, live);
        let Some(intent) = self.intend(&row, payload_change(&payload), &payload).await? else { return Ok(Step::Again) };
        let patch = protocol::write(&row.name, intent.change, &[change]);
        let sent = Sent::of(self.pdns.patch(row.name.as_str(), &patch).await, intent.change);
        self.conclude(&row, &intent, &payload, sent).await.map(Step::Done)
    }

    async fn try_delete(&self, row: ZoneRow, request: &Departure) -> Result<Step<()>> {
        if row.status == ZoneStatus::Active {
            return Err(Error::conflict("domain_active", "The domain is served; it must be withdrawn first"));
        }
        let mut payload = self.empty_payload(&row, Kind::Delete);
        payload.audit = request.audit.clone();
        let Some(intent) = self.intend(&row, ChangeId::new(), &payload).await? else { return Ok(Step::Again) };
        let answer = match self.owns_at_server(&row).await {
            Ok(true) => self.pdns.delete_zone(row.name.as_str()).await,
            Ok(false) => DeleteAnswer::Gone,
            Err(error) => DeleteAnswer::NotSent(error.to_string()),
        };
        match answer {
            DeleteAnswer::Gone => {
                self.conclude(&row, &intent, &payload, Sent::Applied { serial: Some(row.serial.unwrap_or(0)) }).await?;
                Ok(Step::Done(()))
            }
            DeleteAnswer::NotSent(why) | DeleteAnswer::Refused(why) => {
                self.drop_intent(&intent, &payload, &why).await?;
                Err(Error::Upstream(format!("PowerDNS: {why}")))
            }
            DeleteAnswer::Unknown(why) => {
                tracing::warn!(zone = %row.name, why, "the outcome of a deletion is unknown");
                let started_at = self.pdns.info().await.ok().map(|info| info.started_at);
                fences::rest(&self.db, row.name.as_str(), started_at).await?;
                Err(Error::OutcomeUnknown(intent.change))
            }
        }
    }

    /// Whether PowerDNS holds a zone that was made for this row.
    async fn owns_at_server(&self, row: &ZoneRow) -> Result<bool> {
        if !row.born {
            return Ok(false);
        }
        let head = self.pdns.zone_head(row.name.as_str()).await?;
        Ok(head.is_some_and(|head| head.account == row.id.to_string()))
    }

    async fn try_sweep(&self, row: ZoneRow, fences: &[ChangeId]) -> Result<Step<()>> {
        let state = store::read(&self.db, &self.pdns, &row).await?;
        let Some(live) = state.live else { return Ok(Step::Done(())) };
        let mut payload = self.empty_payload(&row, Kind::Sweep { fences: fences.to_vec() });
        payload.record_count = count(&state.content);
        take_before(&mut payload, live);
        let Some(intent) = self.intend(&row, ChangeId::new(), &payload).await? else { return Ok(Step::Again) };
        let mut patch = protocol::write(&row.name, intent.change, &[]);
        patch.extend(protocol::remove_fences(&row.name, fences));
        let sent = Sent::of(self.pdns.patch(row.name.as_str(), &patch).await, intent.change);
        self.conclude(&row, &intent, &payload, sent).await.map(Step::Done)
    }

    /// Settles a transition and drops what PowerDNS's caches hold of the apex.
    async fn conclude(&self, row: &ZoneRow, intent: &Intent, payload: &Payload, sent: Sent) -> Result<()> {
        match self.finish(row, intent, payload, sent).await {
            Finished::Applied => {
                if let Err(error) = self.pdns.flush_cache(row.name.as_str()).await {
                    tracing::warn!(zone = %row.name, %error, "the cache could not be flushed; old answers last up to 60 s");
                }
                Ok(())
            }
            Finished::Refused(message) => Err(Error::Upstream(format!("PowerDNS refused: {message}"))),
            Finished::Failed(error) => Err(error),
            Finished::Unknown => Err(Error::OutcomeUnknown(intent.change)),
        }
    }

    /// Nothing was sent, or only what harms nobody: the lock goes, nothing is recorded as done.
    async fn drop_intent(&self, intent: &Intent, payload: &Payload, why: &str) -> Result<()> {
        let now = self.clock.now();
        let ending = Ending { outcome: BatchOutcome::Dropped, detail: why, serial: None, drift: false, now };
        settle(&self.db, intent, payload, &ending).await?;
        Ok(())
    }

    fn payload(
        &self,
        row: &ZoneRow,
        kind: Kind,
        content: &ZoneContent,
        change: Option<(&GoLive, &[RrsetChange])>,
    ) -> Payload {
        let mut payload = self.empty_payload(row, kind);
        payload.record_count = count(content);
        if let Some((GoLive { actor, request, audit, .. }, changes)) = change {
            payload.audit = audit.clone();
            payload.entries = vec![Entry {
                change: ChangeId::new(),
                actor: actor.clone(),
                request: request.clone(),
                changes: changes.to_vec(),
            }];
        }
        payload
    }

    fn status_payload(&self, row: &ZoneRow, request: &Departure, status: ZoneStatus, content: &ZoneContent) -> Payload {
        let mut payload = self.empty_payload(row, Kind::SetStatus { status });
        payload.record_count = count(content);
        payload.audit = request.audit.clone();
        payload.entries = vec![Entry {
            change: ChangeId::new(),
            actor: request.actor.clone(),
            request: request.request.clone(),
            changes: Vec::new(),
        }];
        payload
    }

    fn empty_payload(&self, row: &ZoneRow, kind: Kind) -> Payload {
        Payload {
            kind,
            tenant: row.tenant,
            revision: row.revision,
            serial: row.serial,
            previous_marker: None,
            rectify: false,
            entries: Vec::new(),
            audit: Vec::new(),
            ids_removed: Vec::new(),
            ids_put: Vec::new(),
            record_count: row.record_count,
        }
    }
}

fn take_before(payload: &mut Payload, live: LiveState) {
    let LiveState { marker, serial, api_rectify: _ } = live;
    payload.previous_marker = marker;
    payload.serial = Some(serial);
}

fn payload_change(payload: &Payload) -> ChangeId {
    payload.entries.first().map_or_else(ChangeId::new, |entry| entry.change)
}

fn count(content: &ZoneContent) -> u32 {
    u32::try_from(content.record_count()).unwrap_or(u32::MAX)
}

/// Another tenant's zone of this name is live.
pub fn claimed() -> Error {
    Error::conflict("domain_claimed", "Another tenant has proven this domain")
}
