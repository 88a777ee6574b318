//! Zones as their tenants manage them: claim, look, change, remove.

use serde_json::{Value, json};

use crate::authz::{Denied, Permission, TenantAccess, Visibility, ZoneAccess, ZoneRef, decide_tenant, decide_zone};
use crate::dns::{TTL_MAX, ZoneName, reverse};
use crate::ids::{ValidationId, ZoneId};
use crate::storage::secondary_zones::{self, Source};
use crate::storage::validations::{self, ValidationRow};
use crate::storage::zone_lists::{self, Found, Start, ZoneCursor, ZoneFilter};
use crate::storage::zone_templates::{self, ZoneTemplate, ZoneTemplateState};
use crate::storage::zones::{self, NewZone, ZoneRow};
use crate::storage::{audit as audit_log, signing, within};
use crate::tenancy::{SigningTerms, ZoneStatus, ZoneType};

use super::audit::{self, Resource};
use super::context::ActorRecord;
use super::platform::PlatformSettings;
use super::records::{RecordFilter, listed};
use super::templates::claimed::{self, Choice};
use super::transfers::{self, TransferState};
use super::validation::{TXT_RECORD, new_challenge};
use super::zone_life::{departure, make_room, status_values};
use super::zone_names::NamedZone;
use super::zone_writer::{GoLive, Move};
use super::{Context, Error, PageRequest, Result, Services, quotas};

/// Longer descriptions are refused.
const DESCRIPTION_MAX: usize = 1_000;
/// A zone's settings are for people and small tools, not a store.
const SETTINGS_BYTES_MAX: usize = 16 * 1024;

/// A zone to be claimed.
#[derive(Clone, Debug)]
pub struct ZoneClaim {
    pub name: String,
    pub zone_type: String,
    pub default_ttl: Option<u32>,
    pub description: Option<String>,
    /// Of a secondary zone.
    pub masters: Option<Vec<String>>,
    pub tsig_key_id: Option<String>,
    /// Of a reverse zone; its name says it, too.
    pub cidr: Option<String>,
    /// What is to be in it from the start.
    pub template: Option<Choice>,
}

/// What of a zone's row is to change; None leaves it.
#[derive(Clone, Debug, Default)]
pub struct ZonePatch {
    pub description: Option<Option<String>>,
    pub default_ttl: Option<u32>,
    pub settings: Option<serde_json::Map<String, Value>>,
    pub status: Option<String>,
    /// Of a secondary zone.
    pub masters: Option<Vec<String>>,
    pub tsig_key_id: Option<Option<String>>,
}

/// A zone with what is pending for it.
pub struct ZoneDetail {
    pub row: ZoneRow,
    pub nameservers: Vec<String>,
    pub validation: Option<ValidationRow>,
    /// `disabled`, or how its signing stands.
    pub dnssec_status: &'static str,
    /// Of a secondary zone.
    pub source: Option<Source>,
    pub transfer: Option<TransferState>,
    /// With which it was claimed.
    pub template: Option<ZoneTemplateState>,
}

/// One page of zones.
pub struct ZonePage {
    pub rows: Vec<ZoneRow>,
    pub total: u64,
    pub next: Option<ZoneCursor>,
}

/// The zone and the proof that the caller may do this with it. What it may not see does not exist, nor does what is
/// deleted.
pub async fn load(
    services: &Services,
    context: &Context,
    id: ZoneId,
    permission: Permission,
) -> Result<(ZoneRow, ZoneAccess)> {
    let (row, access) = load_with_deleted(services, context, id, permission).await?;
    if row.status == ZoneStatus::Deleted {
        return Err(Error::NotFound("Domain"));
    }
    Ok((row, access))
}

/// [`load`] for those who may take a deletion back, or make it final.
pub async fn load_with_deleted(
    services: &Services,
    context: &Context,
    id: ZoneId,
    permission: Permission,
) -> Result<(ZoneRow, ZoneAccess)> {
    let visibility = Visibility::of_lookup(&context.caller);
    let row = within(zones::find(&services.db, &visibility, id)).await?.ok_or(Error::NotFound("Domain"))?;
    let access = decide(context, permission, row.reference())?;
    Ok((row, access))
}

/// [`load_with_deleted`] for those who need no more of the zone than what never changes; who reads or writes it
/// afterwards hears of a deletion there.
pub async fn locate(
    services: &Services,
    context: &Context,
    id: ZoneId,
    permission: Permission,
) -> Result<(NamedZone, ZoneAccess)> {
    if let Some(zone) = services.zone_names.get(id) {
        let access = decide(context, permission, zone.reference())?;
        return Ok((zone, access));
    }
    let (row, access) = load_with_deleted(services, context, id, permission).await?;
    let zone = NamedZone::from(&row);
    services.zone_names.put(zone.clone());
    Ok((zone, access))
}

pub(super) fn decide(context: &Context, permission: Permission, zone: ZoneRef) -> Result<ZoneAccess> {
    decide_zone(&context.caller, permission, zone).map_err(|denied| match denied {
        Denied::Hidden => Error::NotFound("Domain"),
        denied @ Denied::Missing(_) => denied.into(),
    })
}

pub async fn get(services: &Services, context: &Context, id: ZoneId, include_deleted: bool) -> Result<ZoneDetail> {
    let (row, access) = if include_deleted {
        load_with_deleted(services, context, id, Permission::DomainsRead).await?
    } else {
        load(services, context, id, Permission::DomainsRead).await?
    };
    detail(services, row, &access).await
}

pub(super) async fn detail(services: &Services, mut row: ZoneRow, access: &ZoneAccess) -> Result<ZoneDetail> {
    if access.is_limited() && row.status != ZoneStatus::Deleted {
        // who sees some of the records is not told how many there are
        let view = services.writer.view(access).await?;
        let seen = listed(&view, &RecordFilter::default()).len();
        row.record_count = u32::try_from(seen).unwrap_or(u32::MAX);
    }
    let validation = if row.status == ZoneStatus::PendingValidation {
        within(validations::open(&services.db, access)).await?.filter(|open| open.expires_at > services.clock.now())
    } else {
        None
    };
    let signing = if row.dnssec_enabled { within(signing::find(&services.db, row.id)).await? } else { None };
    let dnssec_status = signing.map_or("disabled", |signing| signing.state.phase.status().as_str());
    let source = match row.zone_type {
        ZoneType::Secondary => within(secondary_zones::find(&services.db, row.id)).await?,
        ZoneType::Primary | ZoneType::ReverseIpv4 | ZoneType::ReverseIpv6 => None,
    };
    // it tells of records all over the zone
    let template = if access.is_limited() { None } else { within(zone_templates::state(&services.db, access)).await? };
    // the rest is as good without it
    let transfer = transfers::state(services, &row).await.ok().flatten();
    Ok(ZoneDetail {
        row,
        nameservers: services.platform.settings().await?.nameservers.names.clone(),
        validation,
        source,
        transfer,
        template,
        dnssec_status,
    })
}

pub async fn list(
    services: &Services,
    context: &Context,
    filter: &ZoneFilter,
    page: &PageRequest,
    after: Option<ZoneCursor>,
) -> Result<ZonePage> {
    let visibility = Visibility::of_zones(&context.caller);
    // nothing in the tenant and no zone of its own: say which permission is missing rather than show an empty list
    if visibility.zones().is_some_and(<[ZoneId]>::is_empty) {
        return Err(Denied::Missing(Permission::DomainsRead).into());
    }
    let start = after.as_ref().map_or(Start::Offset(page.offset()), Start::After);
    let found = zone_lists::page(&services.db, &visibility, filter, start, page.page_size);
    let Found { rows, total, more } = within(found).await?;
    let next = rows.last().filter(|_| more).map(|row| ZoneCursor { name: row.name.as_str().to_owned(), id: row.id });
    Ok(ZonePage { rows, total, next })
}

/// Claims a name. It is served once it is proven; below a zone of one's own, or with `validation:bypass`, at once.
pub async fn create(services: &Services, context: &Context, claim: ZoneClaim) -> Result<ZoneDetail> {
    let access = decide_tenant(&context.caller, Permission::DomainsCreate)?;
    let source = check_source(services, context, &claim).await?;
    let choice = claim.template.clone();
    let platform = services.platform.settings().await?;
    let zone = check_claim(services, &platform, context, claim)?;
    let needs_proof = needs_proof(services, context, &zone.name).await?;
    if !needs_proof {
        // it is to go live at once: said before the claim is made rather than after
        services.writer.check_service(&zone.name).await?;
    }
    let challenge = needs_proof.then(|| new_challenge(services, &platform, zone.id, TXT_RECORD));
    if !was_made(services, context, zone.id).await? {
        let template = claimed::chosen(services, context, &zone, choice).await?;
        let more = With { challenge, source, template };
        insert(services, context, &access, &zone, more).await?;
    }
    if !needs_proof {
        let (row, access) = load(services, context, zone.id, Permission::DomainsCreate).await?;
        if let Err(error) = go_live(services, context, &row, access, None, false).await {
            // the claim stands; a check of its validation goes on from here
            tracing::warn!(zone = %row.name, %error, "a domain that needs no proof could not go live yet");
        }
    }
    let (row, access) = load(services, context, zone.id, Permission::DomainsCreate).await?;
    detail(services, row, &access).await
}

/// Whether an earlier request, of which this is the repetition, made the claim and could not say so.
async fn was_made(services: &Services, context: &Context, zone: ZoneId) -> Result<bool> {
    if !context.request.is_repeated() {
        return Ok(false);
    }
    match load(services, context, zone, Permission::DomainsCreate).await {
        Ok(_) => Ok(true),
        Err(Error::NotFound(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

fn check_claim(
    services: &Services,
    platform: &PlatformSettings,
    context: &Context,
    claim: ZoneClaim,
) -> Result<NewZone> {
    let ZoneClaim { name, zone_type, default_ttl, description, cidr, masters: _, tsig_key_id: _, template: _ } = claim;
    let zone_type = ZoneType::parse(&zone_type)
        .ok_or_else(|| Error::invalid("domain_type", format!("unknown domain type '{}'", printable(&zone_type))))?;
    let name = ZoneName::parse(&name).map_err(|error| invalid_name(&error.to_string()))?;
    let fits = match zone_type {
        ZoneType::Primary | ZoneType::Secondary => true,
        ZoneType::ReverseIpv4 => name.is_at_or_below("in-addr.arpa"),
        ZoneType::ReverseIpv6 => name.is_at_or_below("ip6.arpa"),
    };
    if !fits {
        return Err(Error::invalid(
            "name",
            format!("a {} zone lies below in-addr.arpa or ip6.arpa", zone_type.as_str()),
        ));
    }
    if !context.caller.is_platform_admin() && touches_platform(&name, &platform.nameservers.names) {
        return Err(invalid_name("Invalid domain name"));
    }
    let cidr = checked_network(&name, zone_type, cidr.as_deref())?;
    Ok(NewZone {
        id: ZoneId(context.request.new_object()),
        name,
        zone_type,
        default_ttl: checked_ttl(default_ttl.unwrap_or(platform.terms.default_ttl))?,
        description: checked_description(description)?,
        cidr,
        now: services.clock.now(),
    })
}

/// Where a secondary zone's content is to come from.
async fn check_source(services: &Services, context: &Context, claim: &ZoneClaim) -> Result<Option<Source>> {
    let ZoneClaim { zone_type, masters, tsig_key_id, .. } = claim;
    if ZoneType::parse(zone_type) != Some(ZoneType::Secondary) {
        let given = masters.as_ref().map(|_| "masters").or(tsig_key_id.as_ref().map(|_| "tsig_key_id"));
        return match given {
            Some(field) => Err(Error::invalid(field, "only a secondary domain has masters")),
            None => Ok(None),
        };
    }
    let masters = transfers::checked_masters(&services.config, masters.as_deref().unwrap_or_default())?;
    let tsig_key = match tsig_key_id {
        Some(id) => Some(transfers::key_name(services, context.caller.tenant, id).await?.0),
        None => None,
    };
    Ok(Some(Source { masters, tsig_key }))
}

/// The network of a reverse zone. Where it is given, the zone must be one of those that make it up.
fn checked_network(name: &ZoneName, zone_type: ZoneType, cidr: Option<&str>) -> Result<Option<String>> {
    let own = reverse::zone_named(name).filter(|_| zone_type != ZoneType::Primary).map(|zone| zone.network);
    if let Some(cidr) = cidr {
        let zones = reverse::zones_of(cidr)?;
        if own.is_none() || zones.iter().all(|zone| Some(zone.network) != own) {
            return Err(Error::invalid("cidr", format!("{name} is not a reverse zone of this network")));
        }
    }
    Ok(own.map(|network| network.to_string()))
}

fn invalid_name(message: &str) -> Error {
    Error::Invalid { message: message.to_owned(), field: None, code: "invalid_domain_name" }
}

/// At, above or below the name of one of the platform's nameservers.
fn touches_platform(name: &ZoneName, nameservers: &[String]) -> bool {
    nameservers
        .iter()
        .any(|server| name.is_at_or_below(server) || server == name.as_str() || server.ends_with(&format!(".{name}")))
}

/// Whether the name must be proven: not below a zone of one's own, and neither for holders of `validation:bypass` nor
/// below a domain that the platform itself answers for, but always where another tenant's live zone is at, above or
/// below it.
async fn needs_proof(services: &Services, context: &Context, name: &ZoneName) -> Result<bool> {
    let tenant = context.caller.tenant;
    let above = within(zones::live_at_or_above(&services.db, name)).await?;
    let foreign_below = within(zones::foreign_live_below(&services.db, name, tenant)).await?;
    let nearest_is_own =
        above.first().is_some_and(|zone| zone.tenant_id == tenant.0 && zone.status == ZoneStatus::Active.as_str());
    if nearest_is_own && !foreign_below {
        return Ok(false);
    }
    let foreign_above = above.iter().any(|zone| zone.tenant_id != tenant.0);
    let bypass = decide_tenant(&context.caller, Permission::ValidationBypass).is_ok();
    let platform = services.platform.settings().await?;
    let is_platforms =
        platform.authoritative_domains.iter().any(|above| name != above && name.is_at_or_below(above.as_str()));
    Ok(!(bypass || is_platforms) || foreign_above || foreign_below)
}

/// Whether a holder of `validation:bypass` may use it for this zone.
pub async fn may_skip_proof(services: &Services, context: &Context, row: &ZoneRow) -> Result<bool> {
    if row.tenant != context.caller.tenant {
        return Ok(false);
    }
    Ok(!needs_proof(services, context, &row.name).await?)
}

/// What is kept with a claim.
struct With {
    challenge: Option<ValidationRow>,
    source: Option<Source>,
    template: Option<ZoneTemplate>,
}

async fn insert(
    services: &Services,
    context: &Context,
    access: &TenantAccess,
    zone: &NewZone,
    With { challenge, source, template }: With,
) -> Result<()> {
    let actor = ActorRecord::from(&context.caller.actor);
    let resource = zone_resource(zone.id, &zone.name);
    let mut after = json!({ "name": zone.name.as_str(), "domain_type": zone.zone_type.as_str(),
        "default_ttl": zone.default_ttl, "description": zone.description });
    if let Some(template) = &template {
        after["template_id"] = json!(template.id);
        after["template_variables"] = json!(template.given);
    }
    let tenant = Some(access.tenant());
    let mut entries = vec![audit::entry(
        &actor,
        &context.request,
        tenant,
        "domain.create",
        resource.clone(),
        (Value::Null, after),
        zone.now,
    )];
    let usual = services.platform.settings().await?.terms.quotas;
    let mut tx = services.db.begin().await?;
    let settings = zones::lock_tenant(&mut tx, access.tenant()).await?;
    zones::insert(&mut tx, access, zone).await.map_err(|error| {
        if error.is_duplicate_of("zones_tenant_name") {
            Error::conflict("domain_exists", "Domain already exists")
        } else {
            error.into()
        }
    })?;
    if let Some(source) = &source {
        secondary_zones::insert(&mut tx, zone.id, source).await?;
    }
    if let Some(template) = &template {
        zone_templates::insert(&mut tx, zone.id, template).await?;
    }
    quotas::check_zones(&mut tx, access.tenant(), &settings, usual).await?;
    if let Some(challenge) = &challenge {
        validations::supersede(&mut tx, challenge).await?;
        let started = json!({ "validation_id": challenge.id, "validation_type": challenge.validation_type });
        let values = (Value::Null, started);
        let action = "domain.validation.start";
        entries.push(audit::entry(&actor, &context.request, tenant, action, resource, values, zone.now));
    }
    audit_log::append(&mut tx, None, &entries).await?;
    tx.commit().await.map_err(crate::storage::StorageError::from)?;
    Ok(())
}

/// Puts a claim into service, with the audit entry that says by which proof. The one with a proof has the name before
/// a zone that is withdrawn.
pub async fn go_live(
    services: &Services,
    context: &Context,
    row: &ZoneRow,
    access: ZoneAccess,
    validation: Option<ValidationId>,
    force_transfer: bool,
) -> Result<()> {
    if validation.is_some() {
        // nothing is taken from anybody for a claim that cannot go live
        services.writer.check_service(&row.name).await?;
        make_room(services, context, row, force_transfer).await?;
    }
    claimed::apply(services, context, row).await?;
    let actor = ActorRecord::from(&context.caller.actor);
    let after = json!({ "status": ZoneStatus::Active, "validation_id": validation });
    let values = (json!({ "status": ZoneStatus::PendingValidation }), after);
    let resource = zone_resource(row.id, &row.name);
    let now = services.clock.now();
    let action = "domain.validation.success";
    let entry = audit::entry(&actor, &context.request, Some(row.tenant), action, resource, values, now);
    let request = GoLive { access, actor, request: context.request.clone(), validation, audit: vec![entry] };
    services.writer.go_live(request).await
}

pub async fn update(services: &Services, context: &Context, id: ZoneId, patch: ZonePatch) -> Result<ZoneDetail> {
    let (row, access) = load(services, context, id, Permission::DomainsUpdate).await?;
    let ZonePatch { description, default_ttl, settings, status, masters, tsig_key_id } = patch;
    let status = status.map(|text| checked_status(&text)).transpose()?;
    let wanted = Wanted {
        description: match description {
            Some(description) => Some(checked_description(description)?),
            None => None,
        },
        default_ttl: default_ttl.map(checked_ttl).transpose()?,
        settings: settings.map(checked_settings).transpose()?,
    };
    // first what may be refused, so that a refusal changes nothing
    if let Some(settings) = &wanted.settings {
        transfers::update(services, context, (&row, &access), settings).await?;
    }
    if masters.is_some() || tsig_key_id.is_some() {
        transfers::update_source(services, context, (&row, &access), (masters, tsig_key_id)).await?;
    }
    if let Some(status) = status.filter(|status| *status != row.status) {
        let values = status_values(row.status, status);
        let departure = departure(services, context, &row, access.clone(), "domain.update", values);
        let step = if status == ZoneStatus::Active { Move::Return } else { Move::Withdraw };
        services.writer.set_status(departure, step).await?;
    }
    if wanted.changes_something() {
        write_row(services, context, &access, &wanted).await?;
    }
    let (row, access) = load(services, context, id, Permission::DomainsUpdate).await?;
    detail(services, row, &access).await
}

struct Wanted {
    description: Option<Option<String>>,
    default_ttl: Option<u32>,
    settings: Option<Value>,
}

impl Wanted {
    fn changes_something(&self) -> bool {
        self.description.is_some() || self.default_ttl.is_some() || self.settings.is_some()
    }
}

async fn write_row(services: &Services, context: &Context, access: &ZoneAccess, wanted: &Wanted) -> Result<()> {
    let now = services.clock.now();
    let mut tx = services.db.begin().await?;
    let row = zones::lock(&mut tx, access.zone().id).await?.ok_or(Error::NotFound("Domain"))?;
    let description = wanted.description.clone().unwrap_or_else(|| row.description.clone());
    let default_ttl = wanted.default_ttl.unwrap_or(row.default_ttl);
    let settings = wanted.settings.clone().unwrap_or_else(|| row.settings.clone());
    let before = json!({ "description": row.description, "default_ttl": row.default_ttl, "settings": row.settings });
    let after = json!({ "description": description, "default_ttl": default_ttl, "settings": settings });
    if before == after {
        return Ok(());
    }
    zones::update(&mut tx, access, default_ttl, description.as_deref(), &settings, now).await?;
    let actor = ActorRecord::from(&context.caller.actor);
    let resource = zone_resource(row.id, &row.name);
    let tenant = Some(row.tenant);
    let entry = audit::entry(&actor, &context.request, tenant, "domain.update", resource, (before, after), now);
    audit_log::append(&mut tx, None, &[entry]).await?;
    tx.commit().await.map_err(crate::storage::StorageError::from)?;
    Ok(())
}

/// A zone as the audit log names it.
pub fn zone_resource(id: ZoneId, name: &ZoneName) -> Resource {
    Resource { resource_type: "domain", id: Some(id.to_string()), name: Some(name.as_str().to_owned()) }
}

fn checked_ttl(ttl: u32) -> Result<u32> {
    if ttl > TTL_MAX {
        return Err(Error::schema(&["body", "default_ttl"], format!("must be from 0 to {TTL_MAX}")));
    }
    Ok(ttl)
}

fn checked_description(description: Option<String>) -> Result<Option<String>> {
    let Some(text) = description else { return Ok(None) };
    if text.chars().count() > DESCRIPTION_MAX {
        let message = format!("must have at most {DESCRIPTION_MAX} characters");
        return Err(Error::schema(&["body", "description"], message));
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(Error::schema(&["body", "description"], "must not have control characters"));
    }
    Ok(Some(text))
}

fn checked_settings(settings: serde_json::Map<String, Value>) -> Result<Value> {
    let value = Value::Object(settings);
    if value.to_string().len() > SETTINGS_BYTES_MAX {
        return Err(Error::schema(&["body", "settings"], "must have at most 16 kB"));
    }
    if let Some(problem) = SigningTerms::problem(&value) {
        return Err(Error::schema(&["body", "settings", "dnssec"], problem));
    }
    Ok(value)
}

fn checked_status(text: &str) -> Result<ZoneStatus> {
    match ZoneStatus::parse(text) {
        Some(status @ (ZoneStatus::Active | ZoneStatus::Inactive)) => Ok(status),
        Some(ZoneStatus::PendingValidation | ZoneStatus::Deleted) | None => {
            Err(Error::invalid("status", "must be active or inactive"))
        }
    }
}

/// Caller's text for a message: short and without control characters.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}
