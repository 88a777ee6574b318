//! The steps in a zone's own life: going live, withdrawal and return, the end. Each is an intent of its kind, under
//! the same lock, guards and recovery as a write of records.

use std::time::Duration;

use tokio::time::Instant;

use crate::authz::ZoneAccess;
use crate::dns::{Rrset, RrsetChange, ZoneContent, rectify};
use crate::ids::{ChangeId, ValidationId, ZoneId};
use crate::pdns::{DeleteAnswer, ServerZone};
use crate::storage::audit::AuditEntry;
use crate::storage::intents::{self, BatchOutcome, Intent};
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{audit, fences, within, within_write};
use crate::tenancy::ZoneStatus;

use super::super::context::{ActorRecord, RequestInfo};
use super::super::{Error, Result};
use super::change::{Finished, Held, LATE, is_unmoved};
use super::life::{self, Sent};
use super::payload::{Entry, Kind, Payload};
use super::settle::{Ending, settle};
use super::store::{self, LiveState, ZoneState};
use super::turns::Waiter;
use super::{Inner, ZoneWriter, protocol};

/// How long a transition waits for other changes of the zone.
const PATIENCE: Duration = Duration::from_secs(10);

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

    /// Whether a zone could go live now, as far as that can be told beforehand.
    pub async fn check_service(&self) -> Result<()> {
        self.inner.check_nameservers()?;
        self.inner.pdns.uptime().await?;
        Ok(())
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
        let uptime = self.inner.pdns.uptime().await?;
        let mut by_zone = std::collections::BTreeMap::<String, Vec<ChangeId>>::new();
        for (name, change) in fences::removable(&self.inner.db, uptime, FENCES_PER_RUN).await? {
            by_zone.entry(name).or_default().push(change);
        }
        let count = by_zone.len();
        for (name, changes) in by_zone {
            // one zone that cannot be written to now must not hold up the others
            if let Err(error) = self.sweep_zone(&name, &changes).await {
                tracing::warn!(zone = name, %error, "fences could not be taken down, the next run tries again");
            }
        }
        Ok(count)
    }

    async fn sweep_zone(&self, name: &str, changes: &[ChangeId]) -> Result<()> {
        match within(zones::live_of_name(&self.inner.db, name)).await? {
            Some(zone) => self.inner.until_done(zone, |row| self.inner.try_sweep(row, changes)).await,
            None => Ok(within(fences::forget(&self.inner.db, name, changes)).await?),
        }
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
        let mut waiter = Waiter::new(&self.db, zone);
        loop {
            let found = within(zones::for_write(&self.db, zone)).await?;
            let Some((row, mark)) = found else { return Err(Error::NotFound("Domain")) };
            match mark.filter(|mark| mark.zone == zone) {
                None => {
                    if let Step::Done(done) = attempt(row).await? {
                        return Ok(done);
                    }
                }
                Some(mark) if mark.overdue => {
                    if let Some(intent) = within(intents::find(&self.db, mark.change)).await? {
                        self.recovery().run(intent).await;
                    }
                }
                Some(_) => {}
            }
            if Instant::now() >= patience {
                return Err(Error::unavailable("The zone is busy with another change"));
            }
            waiter.pause().await;
        }
    }

    fn check_nameservers(&self) -> Result<()> {
        if self.nameservers.is_empty() {
            return Err(Error::unavailable("This platform has no nameservers yet; its operator must set NAMESERVERS"));
        }
        Ok(())
    }

    async fn try_go_live(&self, row: ZoneRow, request: &GoLive) -> Result<Step<()>> {
        if row.status == ZoneStatus::Active {
            return Ok(Step::Done(()));
        }
        if row.status != ZoneStatus::PendingValidation {
            return Err(Error::conflict("domain_inactive", "The domain is withdrawn"));
        }
        self.check_nameservers()?;
        if within(zones::live_of_name(&self.db, row.name.as_str())).await?.is_some() {
            return Err(claimed());
        }
        let state = store::read(&self.db, &self.pdns, &row).await?;
        let retired = within(zones::retired_serial(&self.db, row.name.as_str())).await?;
        let serial = life::birth_serial(self.clock.now(), retired);
        let (content, changes) = self.live_content(&row, state.content, serial);
        let mut payload =
            self.payload(&row, Kind::GoLive { validation: request.validation }, &content, Some((request, &changes)));
        let everything: Vec<RrsetChange> = content
            .iter()
            .map(|(key, rrset)| RrsetChange { key: key.clone(), before: None, after: Some(rrset.clone()) })
            .collect();
        payload.rectify = rectify::needed(&content, &everything);
        let Some(held) = self.intend(&row, payload_change(&payload), &payload).await? else { return Ok(Step::Again) };
        let intent = &held.intent;
        let sent = match self.ensure_dark(&row, &held, serial).await {
            Ok((dark, fences)) => self.fill_and_light(&row, &held, (&content, payload.rectify), dark, &fences).await,
            // a POST may still land, as a dark zone that harms nobody; the next attempt goes on from there
            Err(error) => {
                self.drop_intent(intent, &payload, &error.to_string()).await?;
                return Err(error);
            }
        };
        self.conclude(&row, intent, &payload, sent).await
    }

    /// Makes the dark zone, or finds the one that an earlier attempt left; with it the fences that are to stay in it.
    /// The caller holds the name, so nobody else makes or removes a zone of it now; what may land late is a DELETE of
    /// unknown outcome, for which the name rests.
    async fn ensure_dark(&self, row: &ZoneRow, held: &Held, serial: u32) -> Result<(ServerZone, Vec<ChangeId>)> {
        const ATTEMPTS: u32 = 3; // a foreign dark zone is removed once, then ours is made
        let zone = row.name.as_str();
        let uptime = self.pdns.uptime().await?;
        if within(fences::is_resting(&self.db, zone, uptime)).await? {
            let message = "A deletion of this name has no known outcome yet; the name rests for up to an hour";
            return Err(Error::Unavailable { message: message.into(), retry_after: 60 });
        }
        let fences = within(fences::of_name(&self.db, zone)).await?;
        for _ in 0..ATTEMPTS {
            let creation = life::dark_zone(&row.name, row.id, &self.nameservers, &fences, serial);
            let created = self.pdns.create_zone(&creation).await?;
            let Some(server) = self.pdns.zone(zone, row.record_count).await? else { continue };
            if server.account == row.id.to_string() {
                return Ok((server, fences));
            }
            if created || !life::is_dark(&row.name, &server) {
                tracing::error!(zone, account = %server.account, "PowerDNS serves a zone of this name that is not ours");
                return Err(Error::conflict("domain_claimed", "This name is already served here"));
            }
            // an orphan of a claim that never went live
            within(fences::rest(&self.db, zone, uptime)).await?;
            // a DELETE cannot be guarded: one that left after its lock was lost could hit the next owner's zone
            if held.is_late() {
                return Err(Error::pdns(LATE));
            }
            match self.pdns.delete_zone(zone).await {
                DeleteAnswer::Gone => within(fences::end_rest(&self.db, zone)).await?,
                other => return Err(Error::pdns(&format!("an orphan zone could not be removed: {other:?}"))),
            }
        }
        Err(Error::pdns("the zone could not be made"))
    }

    /// Brings a dark zone to the wanted content. What does not fit into one PATCH goes ahead while the zone is dark,
    /// under the same guard; the last PATCH has the SOA, and is the one that counts.
    async fn fill_and_light(
        &self,
        row: &ZoneRow,
        held: &Held,
        (content, rectify): (&ZoneContent, bool),
        dark: ServerZone,
        fences: &[ChangeId],
    ) -> Sent {
        let change = held.intent.change;
        let forgotten = protocol::forgotten_fences(&row.name, &dark, fences);
        let ZoneState { content: there, live } = store::from_server(&row.name, dark);
        let marker = live.and_then(|live| live.marker).unwrap_or_else(|| protocol::MARKER_BORN.to_owned());
        let (parts, last) = life::filling(&there, content);
        for part in &parts {
            let patch = protocol::write_dark(&row.name, change, &marker, part);
            match self.send(row, held, &patch, false).await.sent {
                Sent::Applied { .. } => {}
                other => return other,
            }
        }
        let mut patch = protocol::write(&row.name, change, &last);
        patch.extend(forgotten);
        self.send(row, held, &patch, rectify).await.sent
    }

    /// The staged records with the platform's SOA and nameservers, beside those that the tenant brought.
    fn live_content(&self, row: &ZoneRow, mut content: ZoneContent, serial: u32) -> (ZoneContent, Vec<RrsetChange>) {
        let mut changes = Vec::new();
        for (key, platform) in life::platform_rrsets(&row.name, &self.nameservers, serial) {
            let before = content.get(&key).cloned();
            let mut after = before.clone().unwrap_or_else(|| Rrset { ttl: platform.ttl, records: Vec::new() });
            after.records.retain(|record| !platform.records.iter().any(|ours| ours.content == record.content));
            after.records.extend(platform.records);
            content.set(key.clone(), Some(after));
            let after = content.get(&key).cloned();
            changes.push(RrsetChange { key, before, after });
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
            return Err(Error::pdns("the zone has no SOA"));
        };
        let mut payload = self.status_payload(&row, request, status, &state.content);
        take_before(&mut payload, live);
        let Some(held) = self.intend(&row, payload_change(&payload), &payload).await? else { return Ok(Step::Again) };
        let patch = protocol::write(&row.name, held.intent.change, &[change]);
        let sent = self.send(&row, &held, &patch, false).await.sent;
        self.conclude(&row, &held.intent, &payload, sent).await
    }

    async fn try_delete(&self, row: ZoneRow, request: &Departure) -> Result<Step<()>> {
        if row.status == ZoneStatus::Active {
            return Err(Error::conflict("domain_active", "The domain is served; it must be withdrawn first"));
        }
        if !row.born || self.is_anothers(&row).await? {
            return self.delete_claim(&row, request).await;
        }
        let mut payload = self.empty_payload(&row, Kind::Delete);
        payload.audit = request.audit.clone();
        let Some(held) = self.intend(&row, ChangeId::new(), &payload).await? else { return Ok(Step::Again) };
        let intent = &held.intent;
        let answer = match self.owns_at_server(&row).await {
            Ok(true) if held.is_late() => DeleteAnswer::NotSent(LATE.into()),
            Ok(true) => self.pdns.delete_zone(row.name.as_str()).await,
            Ok(false) => DeleteAnswer::Gone,
            Err(error) => DeleteAnswer::NotSent(error.to_string()),
        };
        match answer {
            DeleteAnswer::Gone => {
                let sent = Sent::Applied { serial: Some(row.serial.unwrap_or(0)) };
                self.conclude(&row, intent, &payload, sent).await
            }
            DeleteAnswer::NotSent(why) | DeleteAnswer::Refused(why) => {
                self.drop_intent(intent, &payload, &why).await?;
                Err(Error::pdns(&why))
            }
            DeleteAnswer::Unknown(why) => {
                tracing::warn!(zone = %row.name, why, "the outcome of a deletion is unknown");
                // the intent stays: recovery repeats the call and lets the name rest
                Err(Error::OutcomeUnknown(intent.change))
            }
        }
    }

    /// Whether the live zone of this name is somebody else's.
    async fn is_anothers(&self, row: &ZoneRow) -> Result<bool> {
        Ok(within(zones::live_of_name(&self.db, row.name.as_str())).await?.is_some_and(|live| live != row.id))
    }

    /// A claim for which PowerDNS holds nothing: one transaction, without the name's lock, which may be another's.
    async fn delete_claim(&self, row: &ZoneRow, request: &Departure) -> Result<Step<()>> {
        let deleted = within_write(async {
            let mut tx = self.db.begin().await?;
            let unmoved = zones::lock(&mut tx, row.id).await?.is_some_and(|locked| is_unmoved(row, &locked));
            if !unmoved || intents::exists_for_zone(&mut tx, row.id).await? {
                return Ok(false);
            }
            zones::delete(&mut tx, row).await?;
            audit::append(&mut tx, None, &request.audit).await?;
            tx.commit().await?;
            Ok(true)
        });
        Ok(if deleted.await? { Step::Done(()) } else { Step::Again })
    }

    /// Whether PowerDNS holds a zone that was made for this row.
    async fn owns_at_server(&self, row: &ZoneRow) -> Result<bool> {
        let head = self.pdns.zone_head(row.name.as_str()).await?;
        Ok(head.is_some_and(|head| head.account == row.id.to_string()))
    }

    async fn try_sweep(&self, row: ZoneRow, fences: &[ChangeId]) -> Result<Step<()>> {
        let state = store::read(&self.db, &self.pdns, &row).await?;
        let Some(live) = state.live else { return Ok(Step::Done(())) };
        let mut payload = self.empty_payload(&row, Kind::Sweep { fences: fences.to_vec() });
        payload.record_count = count(&state.content);
        take_before(&mut payload, live);
        let Some(held) = self.intend(&row, ChangeId::new(), &payload).await? else { return Ok(Step::Again) };
        let mut patch = protocol::write(&row.name, held.intent.change, &[]);
        patch.extend(protocol::remove_fences(&row.name, fences));
        let sent = self.send(&row, &held, &patch, false).await.sent;
        self.conclude(&row, &held.intent, &payload, sent).await
    }

    /// Settles a transition and drops what PowerDNS's caches hold of the apex.
    async fn conclude(&self, row: &ZoneRow, intent: &Intent, payload: &Payload, sent: Sent) -> Result<Step<()>> {
        match self.finish(row, intent, payload, sent).await {
            Finished::Applied { .. } => {
                if let Err(error) = self.pdns.flush_cache(row.name.as_str()).await {
                    tracing::warn!(zone = %row.name, %error, "the cache could not be flushed; old answers last up to 60 s");
                }
                Ok(Step::Done(()))
            }
            Finished::Refused(message) => Err(Error::pdns(&format!("refused: {message}"))),
            Finished::Failed(error) => Err(error),
            Finished::NotApplied => Ok(Step::Again),
            Finished::Unknown => Err(Error::OutcomeUnknown(intent.change)),
        }
    }

    /// Nothing was sent, or only what harms nobody: the lock goes, nothing is recorded as done.
    async fn drop_intent(&self, intent: &Intent, payload: &Payload, why: &str) -> Result<()> {
        self.drop_noting(intent, payload, (why, false)).await
    }

    /// The same, noting that somebody wrote behind our back.
    pub(super) async fn drop_noting(
        &self,
        intent: &Intent,
        payload: &Payload,
        (why, drift): (&str, bool),
    ) -> Result<()> {
        let now = self.clock.now();
        let outcome = BatchOutcome::Dropped;
        let ending = Ending { outcome, detail: why, serial: None, change_serial: None, drift, now };
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
