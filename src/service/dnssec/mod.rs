//! DNSSEC of zones as their owners ask for it: enable, look, roll, confirm, disable. What goes on by itself is in
//! [`advance`]; what may be done when, and what it takes, in `dns/dnssec/`.

pub mod advance;
mod errors;
mod keeping;
mod settings;

use std::sync::Arc;

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::authz::{Permission, Target, ZoneAccess, decide};
use crate::dns::ZoneName;
use crate::dns::dnssec::plan::Visible;
use crate::dns::dnssec::{
    Alarm, Algorithm, Denial, Ds, DsRecord, Key, Look, Phase, Policy, Refused, ServerLook, Signing, plan,
};
use crate::ids::{TenantId, ZoneId};
use crate::storage::audit::AuditEntry;
use crate::storage::signing::{self, SignedFilter, SignedStart, SignedZone, SigningRow};
use crate::storage::within;
use crate::storage::zones::ZoneRow;
use crate::tenancy::{ZoneStatus, ZoneType};

use super::audit;
use super::context::{ActorRecord, RequestInfo};
use super::zone_writer::{Decided, SigningStep, StepFacts, withdrawn};
use super::zones::{load, zone_resource};
use super::{Context, Error, PageRequest, Result, Services};

use errors::refused;
pub use keeping::count_alarms;
pub use settings::DnssecSettings;

/// What is shown of a zone's signing.
pub struct DnssecView {
    pub zone: ZoneId,
    pub name: ZoneName,
    /// None: unsigned.
    pub signing: Option<Signing>,
    pub policy: Policy,
    pub ds_records: Vec<DsRecord>,
    pub alarm: Option<Alarm>,
}

/// What somebody says about a DS at the parent.
#[derive(Clone, Debug, Default)]
pub struct DsClaim {
    pub key_tag: Option<u16>,
    pub ds: Vec<Ds>,
    /// It need not be looked for.
    pub force: bool,
}

/// How a key is, as far as resolvers notice.
pub fn visible(signing: &Signing, key: &Key) -> Visible {
    plan::wanted(signing.phase, key).filter(|_| key.id.is_some()).unwrap_or(Visible::NOT_AT_ALL)
}

/// How the zone's signing stands.
pub async fn get(services: &Services, context: &Context, id: ZoneId) -> Result<DnssecView> {
    let (row, _) = load(services, context, id, Permission::DnssecRead).await?;
    let found = within(signing::find(&services.db, row.id)).await?;
    view(services, &row, found).await
}

/// Signs the zone.
pub async fn enable(
    services: &Services,
    context: &Context,
    id: ZoneId,
    algorithm: u64,
    denial: Option<&str>,
) -> Result<DnssecView> {
    let (row, _) = load_served(services, context, id, Permission::DnssecEnable).await?;
    let algorithm = u8::try_from(algorithm).ok().and_then(Algorithm::from_number);
    let algorithm = algorithm.ok_or_else(|| Error::Invalid {
        message: "unsupported algorithm; there are 8, 10, 13, 14 and 15".into(),
        field: Some("algorithm"),
        code: "unsupported_algorithm",
    })?;
    let denial = denial.map_or(Some(Denial::Narrow), Denial::parse);
    let denial = denial.ok_or_else(|| Error::invalid("denial", "must be narrow, nsec3 or nsec"))?;
    if row.zone_type == ZoneType::Secondary {
        return Err(Error::conflict("domain_secondary", "A secondary domain is signed where its records come from"));
    }
    // what is made up while answering cannot be transferred
    if denial == Denial::Narrow && row.settings.get("transfers").is_some_and(|transfers| !transfers.is_null()) {
        return Err(Error::invalid("denial", "must be nsec3 or nsec where others transfer the domain"));
    }
    services.dnssec.check_denial(&services.pdns, denial).await?;
    let now = services.clock.now();
    let asked = Asked::new(context, &row, "dnssec.enable", now);
    let taken = asked.take(services, false, move |asked, facts| {
        if facts.signing.is_some() {
            return Err(Error::conflict("dnssec_enabled", "DNSSEC already enabled"));
        }
        let details = json!({ "status": "pending_ds", "algorithm": algorithm.number(), "denial": denial.as_str() });
        Ok((Signing::enable(algorithm, denial, now), asked.entry((json!({ "status": "disabled" }), details))))
    });
    let taken = taken.await?;
    finish(services, &row, taken).await
}

/// Begins a rollover of the ZSK.
pub async fn rotate_zsk(services: &Services, context: &Context, id: ZoneId) -> Result<DnssecView> {
    rotate(services, context, id, "dnssec.rotate_zsk", |signing, name, now, policy| {
        signing.rotate_zsk(name, now, policy)
    })
    .await
}

/// Begins a rollover of the KSK, or of both keys to another algorithm.
pub async fn rotate_ksk(
    services: &Services,
    context: &Context,
    id: ZoneId,
    algorithm: Option<u64>,
) -> Result<DnssecView> {
    let algorithm = match algorithm {
        None => None,
        Some(number) => {
            Some(u8::try_from(number).ok().and_then(Algorithm::from_number).ok_or_else(|| Error::Invalid {
                message: "unsupported algorithm; there are 8, 10, 13, 14 and 15".into(),
                field: Some("algorithm"),
                code: "unsupported_algorithm",
            })?)
        }
    };
    rotate(services, context, id, "dnssec.rotate_ksk", move |signing, name, now, policy| {
        signing.rotate_ksk(name, algorithm, now, policy)
    })
    .await
}

async fn rotate(
    services: &Services,
    context: &Context,
    id: ZoneId,
    action: &'static str,
    begin: impl Fn(&Signing, &ZoneName, OffsetDateTime, &Policy) -> std::result::Result<Signing, Refused>
    + Send
    + Sync
    + 'static,
) -> Result<DnssecView> {
    let (row, _) = load_served(services, context, id, Permission::DnssecRotate).await?;
    let now = services.clock.now();
    let policy = services.dnssec.policy(&services.db, &services.pdns, &row).await?;
    let asked = Asked::new(context, &row, action, now);
    let taken = asked.take(services, false, move |asked, facts| {
        let before = enabled(facts)?.with_ttls(facts.ttls, &policy);
        let after = begin(&before, &facts.row.name, now, &policy).map_err(|why| refused(why, now))?;
        let entry = asked.entry(phases(before.phase, &after));
        Ok((after, entry))
    });
    let taken = taken.await?;
    finish(services, &row, taken).await
}

/// Takes note of the DS at the parent, which is looked for there.
pub async fn confirm_ds(services: &Services, context: &Context, id: ZoneId, claim: DsClaim) -> Result<DnssecView> {
    let (row, _) = load_served(services, context, id, Permission::DnssecRotate).await?;
    let found = within(signing::find(&services.db, row.id)).await?.ok_or_else(not_enabled)?;
    check_claim(&row.name, &found.state, &claim)?;
    let look = if claim.force { None } else { Some(look_at_parent(services, &row.name).await) };
    let policy = services.dnssec.policy(&services.db, &services.pdns, &row).await?;
    if let Some(look) = &look {
        remember(services, &row, &policy, look).await?;
    }
    let now = services.clock.now();
    let asked = Asked::new(context, &row, "dnssec.confirm_ds_published", now);
    let taken = asked.take(services, false, move |asked, facts| {
        let before = enabled(facts)?.with_ttls(facts.ttls, &policy);
        let confirmed = before.confirm_ds(&facts.row.name, look.as_ref(), now, &policy);
        let after = confirmed.map_err(|why| match why {
            Refused::ParentUnknown => refused(Refused::DsNotFound, now),
            why => refused(why, now),
        })?;
        let mut values = phases(before.phase, &after);
        values.1["forced"] = json!(look.is_none());
        Ok((after, asked.entry(values)))
    });
    let taken = taken.await?;
    finish(services, &row, taken).await
}

/// Unsigns the zone, once its DS has left the parent and the caches. `wait`: asks the parent to remove it, by CDS, and
/// unsigns the zone when it has. None: it is unsigned.
pub async fn disable(
    services: &Services,
    context: &Context,
    id: ZoneId,
    (force, wait): (bool, bool),
) -> Result<Option<DnssecView>> {
    let (row, _) = load_served(services, context, id, Permission::DnssecDisable).await?;
    within(signing::find(&services.db, row.id)).await?.ok_or_else(not_enabled)?;
    let look = if force || wait { None } else { Some(look_at_parent(services, &row.name).await) };
    let policy = services.dnssec.policy(&services.db, &services.pdns, &row).await?;
    if let Some(look) = &look {
        remember(services, &row, &policy, look).await?;
    }
    let now = services.clock.now();
    let asked = Asked::new(context, &row, "dnssec.disable", now);
    let taken = asked.take(services, !wait, move |asked, facts| {
        let before = enabled(facts)?.with_ttls(facts.ttls, &policy);
        let after = match &look {
            None if wait => before.remove_ds(now).map_err(|why| refused(why, now))?,
            None => before.unsign(now),
            Some(look) => {
                before.may_unsign(look, &policy).map_err(|why| refused(why, now))?;
                before.unsign(now)
            }
        };
        let mut values = phases(before.phase, &after);
        values.1["forced"] = json!(force);
        Ok((after, asked.entry(values)))
    });
    match taken.await? {
        None => Ok(None),
        Some(taken) => finish(services, &row, Some(taken)).await.map(Some),
    }
}

/// Signed zones of all tenants by name, for operators; and whether more follow.
pub async fn list(
    services: &Services,
    context: &Context,
    filter: SignedFilter,
    page: &PageRequest,
    after: Option<(String, ZoneId)>,
) -> Result<(Vec<SignedZone>, u64, bool)> {
    decide(&context.caller, Permission::PlatformRead, Target::Platform)?;
    let start = match after {
        Some((name, zone)) => SignedStart::After(name, zone),
        None => SignedStart::Offset(page.offset()),
    };
    let found = signing::page(&services.db, filter, services.clock.now(), &start, page.page_size + 1);
    let (mut rows, total) = within(found).await?;
    let more = rows.len() > page.page_size as usize;
    rows.truncate(page.page_size as usize);
    Ok((rows, total, more))
}

/// What the parent's servers show now.
pub async fn look_at_parent(services: &Services, zone: &ZoneName) -> Look {
    let answers = services.resolve.delegation_signers(zone.as_str()).await.unwrap_or_default();
    let servers = answers.into_iter().map(|answer| {
        let (ds, ttl) = answer.ds.unzip();
        ServerLook { server: answer.server, ds, ttl: ttl.flatten() }
    });
    Look { at: services.clock.now(), servers: servers.collect() }
}

/// Keeps what was seen at the parent, unless a step is under way: then the next look will do.
async fn remember(services: &Services, zone: &ZoneRow, policy: &Policy, look: &Look) -> Result<()> {
    let Some(row) = within(signing::find(&services.db, zone.id)).await? else { return Ok(()) };
    if row.state.applied_at.is_some() && !look.servers.is_empty() {
        let state = row.state.observe(look, policy);
        keeping::keep(services, zone, policy, SigningRow { state, ..row }).await?;
    }
    Ok(())
}

/// After a step: asks the own servers at once, so that its wait begins, and shows how things stand.
async fn finish(services: &Services, row: &ZoneRow, taken: Option<SigningRow>) -> Result<DnssecView> {
    if taken.is_some()
        && let Err(error) = advance::advance(services, row.id).await
    {
        tracing::warn!(zone = %row.name, %error, "the step is taken; the worker goes on from here");
    }
    let found = within(signing::find(&services.db, row.id)).await?;
    view(services, row, found).await
}

async fn view(services: &Services, row: &ZoneRow, found: Option<SigningRow>) -> Result<DnssecView> {
    let policy = services.dnssec.policy(&services.db, &services.pdns, row).await?;
    let (zone, name) = (row.id, row.name.clone());
    let signing = found.map(|found| found.state);
    let ds_records = signing.as_ref().map(|signing| signing.ds_records(&name, &policy)).unwrap_or_default();
    let now = services.clock.now();
    let alarm = signing.as_ref().and_then(|signing| signing.alarm(&name, now, &policy));
    Ok(DnssecView { zone, name, signing, policy, ds_records, alarm })
}

/// The zone, if it is served: nothing else can be signed.
async fn load_served(
    services: &Services,
    context: &Context,
    id: ZoneId,
    permission: Permission,
) -> Result<(ZoneRow, ZoneAccess)> {
    let (row, access) = load(services, context, id, permission).await?;
    if row.status == ZoneStatus::Active { Ok((row, access)) } else { Err(withdrawn(row.status)) }
}

fn not_enabled() -> Error {
    Error::conflict("dnssec_not_enabled", "DNSSEC is not enabled")
}

fn enabled<'a>(facts: &StepFacts<'a>) -> Result<&'a Signing> {
    facts.signing.map(|row| &row.state).ok_or_else(not_enabled)
}

/// What is claimed must be about keys of this zone.
fn check_claim(zone: &ZoneName, signing: &Signing, claim: &DsClaim) -> Result<()> {
    let DsClaim { key_tag, ds, force: _ } = claim;
    if let Some(tag) = key_tag
        && !signing.secure_entry_points().any(|key| key.key_tag() == *tag)
    {
        return Err(Error::invalid("key_tag", format!("{tag} is not the key tag of a key-signing key of this domain")));
    }
    for ds in ds {
        if !signing.secure_entry_points().any(|key| ds.is_of(zone, key)) {
            return Err(Error::invalid("ds_records", format!("'{ds}' is not a DS of a key of this domain")));
        }
    }
    Ok(())
}

fn phases(before: Phase, after: &Signing) -> (Value, Value) {
    let tags: Vec<Option<u16>> = after.keys.iter().map(Key::key_tag).collect();
    (
        json!({ "status": before.status().as_str(), "phase": before.as_str() }),
        json!({ "status": after.status().as_str(), "phase": after.phase.as_str(),
            "key_tags": tags.into_iter().flatten().collect::<Vec<u16>>() }),
    )
}

/// Who asks for a step, and how the audit log calls it.
#[derive(Clone)]
struct Asked {
    zone: ZoneId,
    tenant: TenantId,
    name: ZoneName,
    actor: ActorRecord,
    request: RequestInfo,
    action: &'static str,
    now: OffsetDateTime,
}

impl Asked {
    fn new(context: &Context, row: &ZoneRow, action: &'static str, now: OffsetDateTime) -> Self {
        Self {
            zone: row.id,
            tenant: row.tenant,
            name: row.name.clone(),
            actor: ActorRecord::from(&context.caller.actor),
            request: context.request.clone(),
            action,
            now,
        }
    }

    fn entry(&self, values: (Value, Value)) -> AuditEntry {
        let resource = zone_resource(self.zone, &self.name);
        audit::entry(&self.actor, &self.request, Some(self.tenant), self.action, resource, values, self.now)
    }

    async fn take(
        self,
        services: &Services,
        at_once: bool,
        decide: impl Fn(&Self, &StepFacts<'_>) -> Result<(Signing, AuditEntry)> + Send + Sync + 'static,
    ) -> Result<Option<SigningRow>> {
        let (zone, actor, request) = (self.zone, self.actor.clone(), self.request.clone());
        let decide = Arc::new(move |facts: &StepFacts<'_>| {
            let (after, entry) = decide(&self, facts)?;
            let begun = facts.signing.map(|row| row.audit.clone()).unwrap_or_default();
            Ok(Decided::Take(Box::new(after), begun.into_iter().chain([entry]).collect()))
        });
        services.writer.take_signing_step(SigningStep { zone, actor, request, at_once, decide }).await
    }
}
