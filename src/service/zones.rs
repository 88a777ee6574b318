//! Zones as their tenants manage them: looked at here, claimed in [`claims`], changed in [`updates`].

mod claims;
mod updates;

use crate::authz::{Denied, Permission, Visibility, ZoneAccess, ZoneRef, decide_zone};
use crate::dns::{TTL_MAX, ZoneName};
use crate::ids::ZoneId;
use crate::storage::secondary_zones::{self, Source};
use crate::storage::validations::{self, ValidationRow};
use crate::storage::zone_lists::{self, Found, Start, ZoneCursor, ZoneFilter};
use crate::storage::zone_templates::{self, ZoneTemplateState};
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{signing, within};
use crate::tenancy::{ZoneStatus, ZoneType};

use super::audit::Resource;
use super::records::{RecordFilter, listed};
use super::transfers::{self, TransferState};
use super::zone_names::NamedZone;
use super::{Context, Error, PageRequest, Result, Services};

pub use claims::{ZoneClaim, create, go_live, may_skip_proof};
pub use updates::{ZonePatch, update};

/// Longer descriptions are refused.
const DESCRIPTION_MAX: usize = 1_000;

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
    let dnssec_status = signing.map_or("disabled", |signing| signing.state.status().as_str());
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
