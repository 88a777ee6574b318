//! A step of a zone's signing: keys that PowerDNS is to have, and the PATCH that closes it, under the zone's lock.
//!
//! The state that the step leads to is kept in the transaction that takes the lock, so that a step once begun is taken
//! to its end, by whomever: what a crash leaves half done is done again from what PowerDNS has by then
//! (`dns/dnssec/plan.rs`). Its audit entries are kept with it and written by the settle that says that it was applied.
//!
//! Calls for keys cannot be guarded as a PATCH is. They may be repeated, in any order and late, since each says how a
//! key of this step is to be; and none leaves once recovery may have the lock.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::dns::dnssec::plan::{self, Call, Visible};
use crate::dns::dnssec::waits::TTL_CACHED_MAX;
use crate::dns::dnssec::{Alarm, Denial, Phase, Signing, Ttls};
use crate::dns::{
    OwnerName, Record, RecordType, Rrset, RrsetChange, RrsetKey, Soa, ZoneContent, canonical_from_server,
};
use crate::ids::{ChangeId, ZoneId};
use crate::storage::audit::AuditEntry;
use crate::storage::signing::{self, SigningRow};
use crate::storage::zones::ZoneRow;
use crate::storage::{history, within};
use crate::tenancy::ZoneStatus;

use super::super::context::{ActorRecord, RequestInfo};
use super::super::{Error, Result};
use super::change::{Held, LATE};
use super::payload::{Entry, Kind, Payload};
use super::store;
use super::transition::{Step, count, in_a_task, take_before};
use super::{Inner, ZoneWriter};

/// What a step is decided on.
pub struct StepFacts<'a> {
    pub row: &'a ZoneRow,
    pub content: &'a ZoneContent,
    /// None: unsigned.
    pub signing: Option<&'a SigningRow>,
    /// As served now, and before as far as it may be cached.
    pub ttls: Ttls,
}

/// What was decided.
pub enum Decided {
    /// Take this step; the entries are written once it is applied.
    Take(Box<Signing>, Vec<AuditEntry>),
    /// There is nothing to be done.
    Nothing,
}

type Decide = dyn Fn(&StepFacts<'_>) -> Result<Decided> + Send + Sync;

/// A request for a step.
#[derive(Clone)]
pub struct SigningStep {
    pub zone: ZoneId,
    pub actor: ActorRecord,
    pub request: RequestInfo,
    /// Decides at once; otherwise a step that was begun is first taken to its end.
    pub at_once: bool,
    pub decide: Arc<Decide>,
}

impl ZoneWriter {
    /// Takes a step, and says what is kept of the zone's signing after it; None: it is unsigned.
    pub async fn take_signing_step(&self, request: SigningStep) -> Result<Option<SigningRow>> {
        let inner = self.inner.clone();
        in_a_task(async move { inner.until_done(request.zone, |row| inner.try_signing_step(row, &request)).await })
            .await
    }
}

impl ZoneWriter {
    /// TTLs of a live zone, as served now and before as far as they may be cached.
    pub async fn ttls(&self, row: &ZoneRow) -> Result<Ttls> {
        let state = store::read(&self.inner.db, &self.inner.pdns, row).await?;
        self.inner.ttls(row, &state.content).await
    }
}

/// Why the calls did not come to their end.
struct Broken {
    /// Whether resolvers may notice something.
    visible: bool,
    why: String,
}

impl Inner {
    async fn try_signing_step(&self, row: ZoneRow, request: &SigningStep) -> Result<Step<Option<SigningRow>>> {
        if row.status != ZoneStatus::Active {
            return Err(withdrawn(row.status));
        }
        let before = within(signing::find(&self.db, row.id)).await?;
        if before.is_none() {
            // an import may bring records that are the platform's own in a signed zone
            Self::check_unheld(&row)?;
        }
        let state = store::read(&self.db, &self.pdns, &row).await?;
        let ttls = self.ttls(&row, &state.content).await?;
        let facts = StepFacts { row: &row, content: &state.content, signing: before.as_ref(), ttls };
        let begun = before.as_ref().filter(|before| before.state.applied_at.is_none() && !request.at_once);
        let (after, audit) = match begun {
            Some(begun) => (begun.state.clone(), begun.audit.clone()),
            None => match (request.decide)(&facts)? {
                Decided::Nothing => return Ok(Step::Done(before)),
                Decided::Take(after, audit) => (*after, audit),
            },
        };
        let goes_on = begun.is_some();
        let after = Signing { ttls: after.ttls.max(ttls), ..after };
        self.check_keys(&row, &after).await?;
        let changes = cds_changes(&state.content, &after);
        let version = before.as_ref().map(|before| before.version);
        let mut payload = self.empty_payload(&row, Kind::Signing { state: Box::new(after.clone()), version });
        payload.audit = audit;
        payload.rectify = row.needs_rectified_writes() || after.denial != Denial::Narrow;
        payload.record_count = count(&with(&state.content, &changes));
        let change = ChangeId::new();
        payload.entries = vec![Entry {
            change,
            actor: request.actor.clone(),
            request: request.request.clone(),
            changes: changes.clone(),
        }];
        if let Some(live) = state.live {
            take_before(&mut payload, live);
        }
        let Some(held) = self.intend(&row, change, &payload).await? else { return Ok(Step::Again) };
        self.snapshots.forget(row.id);
        let mut version = version.unwrap_or(0) + 1;
        if let Err(Broken { visible, why }) = self.run_calls(&row, &held, (after, &mut version)).await {
            return self.give_up(&row, &held, &payload, (before, version), (visible, &why)).await;
        }
        let answered = self.send_edit(&row, &held, &payload, &changes, false).await;
        match self.conclude(&row, &held.intent, &payload, answered.sent).await? {
            // what was begun by somebody else is done: now what was asked for
            Step::Done(()) if goes_on => Ok(Step::Again),
            Step::Done(()) => Ok(Step::Done(within(signing::find(&self.db, row.id)).await?)),
            Step::Again => Err(begun_only()),
        }
    }

    /// Refuses what cannot come to a good end, before anything is kept: PowerDNS that is down, keys that are not as
    /// they should be.
    async fn check_keys(&self, row: &ZoneRow, after: &Signing) -> Result<()> {
        let actual = self.pdns.keys(row.name.as_str()).await?;
        let actual = actual.ok_or_else(|| Error::pdns("the zone is missing"))?;
        plan::calls(after, &actual).map(|_| ()).map_err(|trouble| {
            tracing::error!(zone = %row.name, ?trouble, "the zone's keys are not as they should be");
            let alarm = Alarm::Trouble(trouble);
            Error::conflict(alarm.code(), alarm.to_string())
        })
    }

    /// Brings PowerDNS to what the step wants; each key that is made is kept before anything else is done with it.
    /// `version`: of the row, as the step was begun and then as keys are kept in it.
    async fn run_calls(
        &self,
        row: &ZoneRow,
        held: &Held,
        (mut state, version): (Signing, &mut u64),
    ) -> std::result::Result<(), Broken> {
        const ROUNDS_MAX: usize = 3; // one that makes keys, one that uses them, one to spare
        let zone = row.name.as_str();
        let mut visible = false;
        for _ in 0..ROUNDS_MAX {
            let broken = |visible: bool, why: String| Broken { visible, why };
            let actual = self.pdns.keys(zone).await.map_err(|error| broken(visible, error.to_string()))?;
            let calls = plan::calls(&state, &actual.unwrap_or_default())
                .map_err(|trouble| broken(visible, format!("{trouble:?}")))?;
            let makes_keys = calls.iter().any(|call| matches!(call, Call::Create { .. }));
            for call in &calls {
                if held.is_late() {
                    return Err(broken(visible, LATE.into()));
                }
                let harmless = matches!(call, Call::Create { .. }) || makes_keys;
                visible |= !harmless;
                self.run_call(row, call, (&mut state, version)).await.map_err(|why| broken(visible, why))?;
            }
            if !makes_keys {
                return Ok(());
            }
        }
        Err(Broken { visible, why: "keys are still missing after they were made".into() })
    }

    async fn run_call(
        &self,
        row: &ZoneRow,
        call: &Call,
        (state, version): (&mut Signing, &mut u64),
    ) -> std::result::Result<(), String> {
        let zone = row.name.as_str();
        let text = |error: crate::pdns::PdnsError| error.to_string();
        match call {
            Call::Create { index } => {
                let key = state.keys.get(*index).ok_or("no such key")?;
                let made = self.pdns.create_key(zone, key.role, key.algorithm).await.map_err(text)?;
                let key = state.keys.get_mut(*index).ok_or("no such key")?;
                (key.id, key.dnskey) = (Some(made.id), Some(made.dnskey));
                let kept = within(signing::keep_keys(&self.db, row.id, *version, state, self.clock.now())).await;
                match kept {
                    Ok(true) => {
                        *version += 1;
                        Ok(())
                    }
                    Ok(false) => Err("the step was taken over".into()),
                    Err(error) => Err(error.to_string()),
                }
            }
            Call::Set { id, visible } => self.pdns.set_key(zone, *id, *visible).await.map_err(text),
            Call::Delete { id } => self.pdns.delete_key(zone, *id).await.map_err(text),
            Call::SetDenial => {
                self.pdns.set_denial(zone, state.denial).await.map_err(text)?;
                self.pdns.rectify(zone).await.map_err(text)
            }
            Call::ClearDenial => {
                self.pdns.clear_denial(zone).await.map_err(text)?;
                self.pdns.rectify(zone).await.map_err(text)
            }
        }
    }

    /// Nothing that resolvers notice was done: it is as if nobody had asked. Otherwise the step stands, and the worker
    /// takes it to its end.
    async fn give_up(
        &self,
        row: &ZoneRow,
        held: &Held,
        payload: &Payload,
        (before, version): (Option<SigningRow>, u64),
        (visible, why): (bool, &str),
    ) -> Result<Step<Option<SigningRow>>> {
        tracing::warn!(zone = %row.name, visible, why, "a step of the zone's signing was not taken to its end");
        let is_new = before.as_ref().is_none_or(|before| before.state.applied_at.is_some());
        if !visible && is_new {
            // under the lock still: afterwards somebody else may have gone on from here
            let restored = within(signing::restore(&self.db, row.id, version, before.as_ref(), self.clock.now())).await;
            if let Err(error) = restored {
                tracing::warn!(zone = %row.name, %error, "the step could not be taken back; the worker goes on with it");
            }
        }
        self.drop_noting(&held.intent, payload, (why, false)).await?;
        if visible {
            return Err(begun_only());
        }
        Err(Error::pdns(why))
    }

    /// TTLs of what is served, and of what was and may still be cached.
    async fn ttls(&self, row: &ZoneRow, content: &ZoneContent) -> Result<Ttls> {
        let past = within(history::cached_past(&self.db, row.id, self.clock.now(), TTL_CACHED_MAX)).await?;
        let soa = RrsetKey { name: OwnerName::apex(&row.name), record_type: RecordType::Soa };
        let soas = content.get(&soa).into_iter().flat_map(|rrset| rrset.records.iter().map(|record| &record.content));
        let minimum = soas
            .chain(&past.soas)
            .filter_map(|content| Soa::parse(content).ok())
            .map(|soa| soa.minimum)
            .max()
            .unwrap_or_default();
        let largest = content.iter().map(|(_, rrset)| rrset.ttl).max().unwrap_or_default();
        Ok(Ttls { largest: largest.max(past.largest_ttl).max(minimum), minimum })
    }
}

fn begun_only() -> Error {
    Error::unavailable("The step was begun, and is taken to its end as soon as the nameservers can be reached")
}

/// Why nothing is signed that is not served.
pub fn withdrawn(status: ZoneStatus) -> Error {
    match status {
        ZoneStatus::PendingValidation => Error::conflict("domain_pending", "The domain is not validated yet"),
        ZoneStatus::Inactive | ZoneStatus::Deleted | ZoneStatus::Active => {
            Error::conflict("domain_inactive", "The domain is withdrawn")
        }
    }
}

/// What makes CDS and CDNSKEY say what the step wants.
fn cds_changes(content: &ZoneContent, after: &Signing) -> Vec<RrsetChange> {
    let zone = content.zone();
    let (cds, cdnskey) = after.cds_contents(zone);
    let mut changes = Vec::new();
    for (kind, contents) in [("CDS", cds), ("CDNSKEY", cdnskey)] {
        let key = RrsetKey { name: OwnerName::apex(zone), record_type: RecordType::from_server(kind) };
        let wanted: BTreeSet<String> =
            contents.iter().map(|content| canonical_from_server(&key.record_type, content)).collect();
        let before = content.get(&key).cloned();
        let there: BTreeSet<String> =
            before.iter().flat_map(|rrset| rrset.records.iter().map(|record| record.content.clone())).collect();
        if wanted == there {
            continue;
        }
        // as long as the keys themselves are cached
        let ttl = after.ttls.minimum;
        let records = wanted.into_iter().map(|content| Record { content, disabled: false }).collect::<Vec<_>>();
        let after = (!records.is_empty()).then_some(Rrset { ttl, records });
        changes.push(RrsetChange { key, before, after });
    }
    changes
}

fn with(content: &ZoneContent, changes: &[RrsetChange]) -> ZoneContent {
    let mut content = content.clone();
    for RrsetChange { key, before: _, after } in changes {
        content.set(key.clone(), after.clone());
    }
    content
}

/// Whether PowerDNS's keys are what the state wants.
pub fn is_as_wanted(state: &Signing, actual: &[plan::ServerKey]) -> bool {
    debug_assert!(state.phase != Phase::Unsigning);
    let invisible_only = |call: &Call| match call {
        Call::Delete { id } => actual.iter().any(|key| key.id == *id && key.visible == Visible::NOT_AT_ALL),
        Call::SetDenial => true,
        Call::Create { .. } | Call::Set { .. } | Call::ClearDenial => false,
    };
    plan::calls(state, actual).is_ok_and(|calls| calls.iter().all(invisible_only))
}
