//! The steps in a zone's own life, and what they have in common: each is an intent of its kind, under the same lock,
//! guards and recovery as a write of records. Going live is in [`super::going_live`], withdrawal and return in
//! [`super::status`], the end in [`super::removal`].

use std::time::Duration;

use tokio::time::Instant;

use crate::authz::ZoneAccess;
use crate::dns::{RrsetChange, ZoneContent};
use crate::fairness;
use crate::ids::{ChangeId, ValidationId, ZoneId};
use crate::storage::audit::AuditEntry;
use crate::storage::intents::{self, BatchOutcome, Intent};
use crate::storage::settlement::Settled;
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{fences, live_names, within};

use super::super::context::{ActorRecord, RequestInfo};
use super::super::{Error, Result};
use super::change::Finished;
use super::life::Sent;
use super::parts::busy;
use super::payload::{Entry, Kind, Payload};
use super::settle::{Ending, settle};
use super::store::{self, LiveState};
use super::turns::Waiter;
use super::{Inner, ZoneWriter, protocol};

/// How long a transition waits for other changes of the zone.
const PATIENCE: Duration = Duration::from_secs(10);
/// Turns of ten seconds in which a zone goes live: two hundred thousand records take a third of them.
const GOING_LIVE_TURNS_MAX: u32 = 60;

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

/// A zone that is to go, or to be withdrawn or returned. What the audit log says of the latter two is made by the step.
#[derive(Clone, Debug)]
pub struct Departure {
    pub access: ZoneAccess,
    pub actor: ActorRecord,
    pub request: RequestInfo,
    pub audit: Vec<AuditEntry>,
}

/// Where one attempt at a transition ended.
pub(super) enum Step<T> {
    Done(T),
    /// The zone is locked or moved.
    Again,
}

impl<T> Step<T> {
    pub(super) fn map<U>(self, to: impl FnOnce(T) -> U) -> Step<U> {
        match self {
            Self::Done(done) => Step::Done(to(done)),
            Self::Again => Step::Again,
        }
    }
}

impl ZoneWriter {
    /// Puts a proven claim into service: dark creation, one guarded PATCH, status `active`. Safe to repeat.
    pub async fn go_live(&self, request: GoLive) -> Result<()> {
        let inner = self.inner.clone();
        in_a_task(async move {
            let zone = request.access.zone().id;
            for _ in 0..GOING_LIVE_TURNS_MAX {
                if inner.until_done(zone, |row| inner.try_go_live(row, &request)).await? {
                    return Ok(());
                }
            }
            Err(Error::unavailable("The domain is not yet at PowerDNS as a whole; go on where this ended"))
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
        match within(live_names::live_of_name(&self.inner.db, name)).await? {
            Some(zone) => self.inner.until_done(zone, |row| self.inner.try_sweep(row, changes)).await,
            None => Ok(within(fences::forget(&self.inner.db, name, changes)).await?),
        }
    }
}

/// A request that is given up must not tear what it began.
pub(super) async fn in_a_task<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(fairness::hand_over(work)).await.unwrap_or_else(|error| Err(Error::Internal(error.to_string())))
}

impl Inner {
    pub(super) async fn until_done<T, F: Future<Output = Result<Step<T>>>>(
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

    /// A step in a zone's life waits for the end of a job that holds it.
    pub(super) fn check_unheld(row: &ZoneRow) -> Result<()> {
        if row.held_by.is_some() { Err(busy()) } else { Ok(()) }
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
    pub(super) async fn conclude(
        &self,
        row: &ZoneRow,
        intent: &Intent,
        payload: &Payload,
        sent: Sent,
    ) -> Result<Step<()>> {
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
    pub(super) async fn drop_intent(&self, intent: &Intent, payload: &Payload, why: &str) -> Result<()> {
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
        if settle(&self.db, intent, payload, &ending).await? == Settled::NotHeld {
            // recovery has taken it over: what it finds out is what has happened
            return match self.look_again(intent, outcome).await {
                Finished::Applied { .. } | Finished::NotApplied => Ok(()),
                _ => Err(Error::OutcomeUnknown(intent.change)),
            };
        }
        Ok(())
    }

    pub(super) fn payload(
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

    pub(super) fn empty_payload(&self, row: &ZoneRow, kind: Kind) -> Payload {
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
            part: None,
            steps: Vec::new(),
        }
    }
}

pub(super) fn take_before(payload: &mut Payload, live: LiveState) {
    let LiveState { marker, serial, api_rectify: _ } = live;
    payload.previous_marker = marker;
    payload.serial = Some(serial);
}

pub(super) fn payload_change(payload: &Payload) -> ChangeId {
    payload.entries.first().map_or_else(ChangeId::new, |entry| entry.change)
}

pub(super) fn count(content: &ZoneContent) -> u32 {
    u32::try_from(content.record_count()).unwrap_or(u32::MAX)
}

/// Another tenant's zone of this name is live.
pub fn claimed() -> Error {
    Error::conflict("domain_claimed", "Another tenant has proven this domain")
}
