//! Access grants of a zone: a role in it, or over some of its records, for a user or group of its tenant.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::authz::{Assignment, NamePattern, Permission, ZoneAccess};
use crate::dns::RecordType;
use crate::ids::{AccessGrantId, ZoneId};
use crate::storage::access_grants::{self as store, GrantRow};
use crate::storage::roles::Assignee;
use crate::storage::{self, within, within_write, zones};

use super::api_keys::SourceReference;
use super::api_keys::input::{bounded_text, expires_at};
use super::api_keys::source::{assignee, find_in_tenant, scaikey_id_of};
use super::audit::{Resource, entry};
use super::escalation::may_give;
use super::identity::rights::zone_scope;
use super::roles::{self, RoleView};
use super::zone_names::NamedZone;
use super::zones::locate;
use super::{ActorRecord, Context, Error, PageRequest, Result, Services};

const NOTES_CHARACTERS_MAX: usize = 1_000;
/// Each names a type once; there are fewer types.
const TYPES_MAX: usize = 100;
/// A person can still read the list.
const GRANTS_PER_ZONE_MAX: u64 = 1_000;
/// All of them are read with the holder, at each look-up.
const GRANTS_PER_HOLDER_MAX: u64 = 1_000;

/// A grant to be given.
#[derive(Clone, Debug)]
pub struct NewGrant {
    pub grant_type: String,
    pub grantee_id: String,
    pub role: String,
    pub record_pattern: Option<String>,
    pub record_types: Option<Vec<String>>,
    pub expires_at: Option<OffsetDateTime>,
    pub notes: Option<String>,
}

/// What is to change; the outer None leaves a field as it is, the inner one empties it.
#[derive(Clone, Debug, Default)]
pub struct GrantPatch {
    pub role: Option<String>,
    pub record_pattern: Option<Option<String>>,
    pub record_types: Option<Option<Vec<String>>>,
    pub expires_at: Option<Option<OffsetDateTime>>,
    pub notes: Option<Option<String>>,
}

/// One page of grants.
pub struct GrantPage {
    pub grants: Vec<GrantRow>,
    pub total: u64,
    pub more: bool,
}

/// The grants of a zone, the oldest first; expired ones if asked for.
pub async fn list(
    services: &Services,
    context: &Context,
    zone: ZoneId,
    include_expired: bool,
    page: PageRequest,
    after: Option<AccessGrantId>,
) -> Result<GrantPage> {
    let (_, access) = locate(services, context, zone, Permission::AccessGrantsRead).await?;
    check_zone(services, context, &access).await?;
    let lasting_at = (!include_expired).then(|| services.clock.now());
    let offset = if after.is_some() { 0 } else { page.offset() };
    let look = store::list(&services.db, &access, lasting_at, after, (offset, page.page_size + 1));
    let (mut grants, total) = within(look).await?;
    let more = grants.len() > page.page_size as usize;
    grants.truncate(page.page_size as usize);
    Ok(GrantPage { grants, total, more })
}

pub async fn get(services: &Services, context: &Context, zone: ZoneId, id: AccessGrantId) -> Result<GrantRow> {
    let (_, access) = locate(services, context, zone, Permission::AccessGrantsRead).await?;
    within(store::find(&services.db, &access, id)).await?.ok_or(Error::NotFound("Access grant"))
}

/// Gives a role in the zone, if the caller holds all that it gives there.
pub async fn create(services: &Services, context: &Context, zone: ZoneId, wanted: NewGrant) -> Result<GrantRow> {
    let (zone, access) = locate(services, context, zone, Permission::AccessGrantsCreate).await?;
    let NewGrant { grant_type, grantee_id, role, record_pattern, record_types, expires_at: at, notes } = wanted;
    let reference = match grant_type.as_str() {
        "user" | "group" => SourceReference::parse(&grant_type, &grantee_id)?,
        _ => return Err(Error::invalid("grant_type", "must be user or group")),
    };
    let record_pattern = record_pattern.map(|text| checked_pattern(&text, &zone)).transpose()?;
    let record_types = record_types.map(checked_types).transpose()?;
    let expires_at = expires_at(at)?;
    let notes = checked_notes(notes)?;
    let role = named_role(services, &zone, &role).await?;
    let holder = find_in_tenant(&services.db, &reference, zone.tenant).await?;
    let now = services.clock.now();
    let row = GrantRow {
        id: AccessGrantId::new(),
        tenant: zone.tenant,
        zone: zone.id,
        grantee: assignee(&holder),
        grantee_scaikey_id: scaikey_id_of(&holder).to_owned(),
        role: role.name().to_owned(),
        custom: custom_id(&role),
        record_pattern,
        record_types,
        expires_at,
        notes,
        created_by: ActorRecord::from(&context.caller.actor).actor_id,
        created_at: now,
        updated_at: now,
    };
    may_give(&context.caller, &given(&row, &role)?, zone.tenant)?;
    let mut tx = storage::revocations::begin(&services.db).await?;
    zones::lock(&mut tx, zone.id).await?.ok_or(Error::NotFound("Domain"))?;
    let (of_zone, of_grantee) = store::count(&mut tx, &access, row.grantee).await?;
    if of_zone >= GRANTS_PER_ZONE_MAX || of_grantee >= GRANTS_PER_HOLDER_MAX {
        let message = format!(
            "A domain has at most {GRANTS_PER_ZONE_MAX} access grants, a user or group {GRANTS_PER_HOLDER_MAX}"
        );
        return Err(Error::Forbidden { message, code: "quota_exceeded" });
    }
    store::insert(&mut tx, &row).await?;
    record(services, context, "access_grant.create", (&zone, &row), (Value::Null, described(&row)), &mut tx).await?;
    services.identity.forget(&within_write(tx.commit()).await?);
    Ok(row)
}

pub async fn update(
    services: &Services,
    context: &Context,
    (zone, id): (ZoneId, AccessGrantId),
    patch: GrantPatch,
) -> Result<GrantRow> {
    let (zone, access) = locate(services, context, zone, Permission::AccessGrantsUpdate).await?;
    let GrantPatch { role, record_pattern, record_types, expires_at: at, notes } = patch;
    let pattern = record_pattern.map(|text| text.map(|text| checked_pattern(&text, &zone)).transpose()).transpose()?;
    let types = record_types.map(|types| types.map(checked_types).transpose()).transpose()?;
    let at = at.map(expires_at).transpose()?;
    let notes = notes.map(checked_notes).transpose()?;
    let role = match role {
        Some(role) => Some(named_role(services, &zone, &role).await?),
        None => None,
    };
    let mut tx = storage::revocations::begin(&services.db).await?;
    zones::lock(&mut tx, zone.id).await?.ok_or(Error::NotFound("Domain"))?;
    let before = store::find_again(&mut tx, &access, id).await?.ok_or(Error::NotFound("Access grant"))?;
    let mut after = before.clone();
    if let Some(role) = &role {
        (after.role, after.custom) = (role.name().to_owned(), custom_id(role));
    }
    after.record_pattern = pattern.unwrap_or(after.record_pattern);
    after.record_types = types.unwrap_or(after.record_types);
    after.expires_at = at.unwrap_or(after.expires_at);
    let gives_anew = after != before;
    after.notes = notes.unwrap_or(after.notes);
    if after == before {
        return Ok(before);
    }
    if gives_anew {
        let role = match role {
            Some(role) => role,
            None => held_role(services, &zone, &after).await?,
        };
        may_give(&context.caller, &given(&after, &role)?, zone.tenant)?;
    }
    after.updated_at = services.clock.now();
    store::update(&mut tx, &after).await?;
    let change = (described(&before), described(&after));
    record(services, context, "access_grant.update", (&zone, &after), change, &mut tx).await?;
    services.identity.forget(&within_write(tx.commit()).await?);
    Ok(after)
}

pub async fn delete(services: &Services, context: &Context, zone: ZoneId, id: AccessGrantId) -> Result<()> {
    let (zone, access) = locate(services, context, zone, Permission::AccessGrantsDelete).await?;
    let mut tx = storage::revocations::begin(&services.db).await?;
    zones::lock(&mut tx, zone.id).await?.ok_or(Error::NotFound("Domain"))?;
    let row = store::find_again(&mut tx, &access, id).await?.ok_or(Error::NotFound("Access grant"))?;
    store::delete(&mut tx, &row).await?;
    record(services, context, "access_grant.delete", (&zone, &row), (described(&row), Value::Null), &mut tx).await?;
    services.identity.forget(&within_write(tx.commit()).await?);
    Ok(())
}

/// A zone that is gone has no grants to list; what is remembered of it does not say so.
async fn check_zone(services: &Services, context: &Context, access: &ZoneAccess) -> Result<()> {
    super::zones::load(services, context, access.zone().id, Permission::AccessGrantsRead).await.map(|_| ())
}

/// What the grant gives.
fn given(row: &GrantRow, role: &RoleView) -> Result<Assignment> {
    let scope = zone_scope(row.zone, row.record_pattern.as_deref(), row.record_types.as_deref());
    let scope = scope.ok_or_else(|| Error::Internal(format!("the pattern of {} does not read", row.id)))?;
    Ok(Assignment { role: role.role()?, scope })
}

/// A role that a body names; one that is not there is a bad value rather than an absent object.
async fn named_role(services: &Services, zone: &NamedZone, text: &str) -> Result<RoleView> {
    match roles::find(services, zone.tenant, text).await {
        Err(Error::NotFound(_)) if text.starts_with("role_") => Err(Error::NotFound("Role")),
        Err(Error::NotFound(_)) => Err(Error::invalid("role", "is no role of the system or the tenant")),
        found => found,
    }
}

async fn held_role(services: &Services, zone: &NamedZone, row: &GrantRow) -> Result<RoleView> {
    match row.custom {
        Some(id) => roles::find(services, zone.tenant, &id.to_string()).await,
        None => roles::find(services, zone.tenant, &row.role).await,
    }
}

fn custom_id(role: &RoleView) -> Option<crate::ids::RoleId> {
    match role {
        RoleView::System(_) => None,
        RoleView::Own(row) => Some(row.id),
    }
}

fn checked_pattern(text: &str, zone: &NamedZone) -> Result<String> {
    let pattern = NamePattern::parse(text).map_err(|error| Error::invalid("record_pattern", error.to_string()))?;
    let text = pattern.as_str();
    let zone = zone.name.as_str();
    if text == zone || text.strip_suffix(zone).is_some_and(|rest| rest.ends_with('.')) {
        let message = format!("is relative to the domain: leave {zone} out; @ is the domain itself");
        return Err(Error::invalid("record_pattern", message));
    }
    Ok(text.to_owned())
}

fn checked_types(types: Vec<String>) -> Result<Vec<String>> {
    if types.is_empty() || types.len() > TYPES_MAX {
        let message = format!("must have 1 to {TYPES_MAX} entries; leave it out for all types");
        return Err(Error::schema(&["body", "record_types"], message));
    }
    let parse = |text: &String| RecordType::parse(text).map_err(|error| Error::invalid("record_types", error.message));
    let parsed = types.iter().map(parse).collect::<Result<BTreeSet<RecordType>>>()?;
    Ok(parsed.into_iter().map(|record_type| record_type.as_str().to_owned()).collect())
}

fn checked_notes(notes: Option<String>) -> Result<Option<String>> {
    notes.map(|text| bounded_text("notes", text, NOTES_CHARACTERS_MAX)).transpose()
}

pub fn grant_type(row: &GrantRow) -> &'static str {
    match row.grantee {
        Assignee::User(_) => "user",
        Assignee::Group(_) => "group",
    }
}

fn described(row: &GrantRow) -> Value {
    json!({
        "grant_type": grant_type(row),
        "grantee_id": row.grantee_scaikey_id,
        "role": row.role,
        "record_pattern": row.record_pattern,
        "record_types": row.record_types,
        "expires_at": row.expires_at.and_then(|at| at.format(&time::format_description::well_known::Rfc3339).ok()),
        "notes": row.notes,
    })
}

async fn record(
    services: &Services,
    context: &Context,
    action: &str,
    (zone, row): (&NamedZone, &GrantRow),
    change: (Value, Value),
    tx: &mut storage::revocations::RightsTx,
) -> Result<()> {
    let name = format!("{} {} on {}", row.role, row.grantee_scaikey_id, zone.name);
    let resource = Resource { resource_type: "access_grant", id: Some(row.id.to_string()), name: Some(name) };
    let actor = ActorRecord::from(&context.caller.actor);
    let entry = entry(&actor, &context.request, Some(zone.tenant), action, resource, change, services.clock.now());
    storage::audit::append(tx, None, &[entry]).await?;
    Ok(())
}
