//! Claiming a name, and putting the claim into service: what is asked of it, whether it must be proven, what is kept with
//! it.

use serde_json::{Value, json};

use crate::authz::{Permission, TenantAccess, ZoneAccess, decide_tenant};
use crate::dns::{ZoneName, reverse};
use crate::ids::{ValidationId, ZoneId};
use crate::storage::audit as audit_log;
use crate::storage::secondary_zones::{self, Source};
use crate::storage::tsig_keys;
use crate::storage::validations::{self, ValidationRow};
use crate::storage::zone_templates::{self, ZoneTemplate};
use crate::storage::zones::{self, NewZone, ZoneRow};
use crate::tenancy::{ZoneStatus, ZoneType};

use super::super::context::ActorRecord;
use super::super::neighbours::Neighbours;
use super::super::platform::PlatformSettings;
use super::super::templates::claimed::{self, Choice};
use super::super::validation::{TXT_RECORD, new_challenge};
use super::super::zone_life::make_room;
use super::super::zone_writer::GoLive;
use super::super::{Context, Error, Result, Services, audit, quotas, transfers};
use super::{ZoneDetail, checked_description, checked_ttl, detail, load, zone_resource};

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
/// below it. What comes near while the claim goes live, the writer looks for.
async fn needs_proof(services: &Services, context: &Context, name: &ZoneName) -> Result<bool> {
    let neighbours = Neighbours::of(&services.db, name, context.caller.tenant).await?;
    if neighbours.vouch() {
        return Ok(false);
    }
    if neighbours.demand_proof() {
        return Ok(true);
    }
    let bypass = decide_tenant(&context.caller, Permission::ValidationBypass).is_ok();
    let platform = services.platform.settings().await?;
    let is_platforms =
        platform.authoritative_domains.iter().any(|above| name != above && name.is_at_or_below(above.as_str()));
    Ok(!(bypass || is_platforms))
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
        // locked, so that a deletion that has not found this use of it is seen here
        if let Some(key) = source.tsig_key
            && tsig_keys::lock(&mut tx, access.tenant(), key).await?.is_none()
        {
            return Err(Error::NotFound("TSIG key"));
        }
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

/// Caller's text for a message: short and without control characters.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}
