//! Reverse zones: claimed by network, their PTRs by address. A PTR is a record like any other; these are the words in
//! which people think of it.

use std::net::IpAddr;

use crate::authz::{Permission, Visibility, ZoneAccess};
use crate::dns::reverse::{self, ReverseZone};
use crate::dns::{RecordRef, RecordType, RrsetKey, Warning};
use crate::ids::{RecordId, ZoneId};
use crate::storage::within;
use crate::storage::zones as zone_rows;
use crate::tenancy::{ZoneStatus, ZoneType};

use super::context::ActorRecord;
use super::forward_records::{self, Pointing};
use super::zone_names::NamedZone;
use super::zone_writer::{Grouping, RecordOperation, RecordView, WriteOutcome, ZoneView, ZoneWrite};
use super::zones::{self, ZoneClaim, ZoneDetail, locate};
use super::{Context, Error, Refusal, Result, Services};

/// A network to be claimed.
#[derive(Debug)]
pub struct ReverseClaim {
    pub cidr: String,
    pub default_ttl: Option<u32>,
    pub description: Option<String>,
}

/// The name of an address, to be written.
#[derive(Debug)]
pub struct NewPtr {
    pub ip: String,
    pub hostname: String,
    pub ttl: Option<u32>,
}

/// The name of an address.
#[derive(Debug)]
pub struct Ptr {
    pub id: RecordId,
    pub ip: IpAddr,
    pub hostname: String,
    pub ttl: u32,
    pub warnings: Vec<Warning>,
}

/// Where an address's name was found.
pub struct FoundPtr {
    pub zone: NamedZone,
    pub ptr: Ptr,
}

/// Claims the zones of a network, in order; each is proven for itself. What one of them cannot be, none is begun for,
/// unless somebody else is faster.
pub async fn create(services: &Services, context: &Context, claim: ReverseClaim) -> Result<Vec<ZoneDetail>> {
    let ReverseClaim { cidr, default_ttl, description } = claim;
    let parts = reverse::zones_of(&cidr)?;
    let access = crate::authz::decide_tenant(&context.caller, Permission::DomainsCreate)?;
    for zone in &parts {
        let visibility = Visibility::of_lookup(&context.caller);
        let found = within(zone_rows::named(&services.db, &visibility, zone.name.as_str())).await?;
        if found.iter().any(|row| row.tenant == access.tenant() && row.status != ZoneStatus::Deleted) {
            return Err(Error::conflict("domain_exists", "Domain already exists"));
        }
    }
    let mut made = Vec::with_capacity(parts.len());
    for ReverseZone { name, network } in parts {
        let zone_type = if network.addr().is_ipv4() { ZoneType::ReverseIpv4 } else { ZoneType::ReverseIpv6 };
        let claim = ZoneClaim {
            name: name.to_string(),
            zone_type: zone_type.as_str().to_owned(),
            default_ttl,
            description: description.clone(),
            cidr: Some(network.to_string()),
            masters: None,
            tsig_key_id: None,
            template: None,
        };
        made.push(zones::create(services, context, claim).await?);
    }
    Ok(made)
}

/// A zone's records, to list its PTRs from.
pub async fn open(services: &Services, context: &Context, zone: ZoneId) -> Result<(ReverseZone, ZoneView)> {
    let (named, access) = locate(services, context, zone, Permission::RecordsRead).await?;
    let reverse = reverse_zone(&named)?;
    Ok((reverse, services.writer.view(&access).await?))
}

/// The PTRs of a zone, by address.
pub fn ptrs(zone: &ReverseZone, view: &ZoneView) -> Vec<Ptr> {
    let records = view.records_where(|key| key.record_type == RecordType::Ptr);
    let mut ptrs: Vec<Ptr> = records.filter_map(|record| ptr(zone, record, Vec::new())).collect();
    ptrs.sort_by(|a, b| (a.ip, &a.hostname).cmp(&(b.ip, &b.hostname)));
    ptrs
}

/// Writes PTRs together, all or none. An address has one name: one that has another already is refused.
pub async fn write(
    services: &Services,
    context: &Context,
    zone: ZoneId,
    wanted: Vec<NewPtr>,
    dry_run: bool,
) -> Result<Vec<Ptr>> {
    let (named, access) = locate(services, context, zone, Permission::RecordsCreate).await?;
    let reverse = reverse_zone(&named)?;
    let total = wanted.len();
    let (mut operations, mut positions, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    let taken = services.writer.view(&access).await?;
    let taken = ptrs(&reverse, &taken);
    for (index, ptr) in wanted.into_iter().enumerate() {
        match addition(&reverse, &taken, ptr) {
            Ok(operation) => {
                operations.push(operation);
                positions.push(index);
            }
            Err(error) => refused.push(Refusal { index, error }),
        }
    }
    let grouping = if total == 1 { Grouping::Single } else { Grouping::Together("record.bulk_create") };
    if total == 1
        && let Some(Refusal { error, .. }) = refused.pop()
    {
        return Err(error);
    }
    let dry_run = dry_run || !refused.is_empty();
    match apply(services, context, access, operations, (grouping, dry_run)).await {
        Ok(outcome) if refused.is_empty() => {
            let done = outcome.operations.into_iter();
            let mut written: Vec<Ptr> = done.filter_map(|done| ptr(&reverse, done.after?, done.warnings)).collect();
            warn(services, context, &mut written).await;
            return Ok(written);
        }
        Ok(_) => {}
        Err(Error::Several { message: _, errors }) => {
            refused
                .extend(errors.into_iter().map(|Refusal { index, error }| Refusal { index: positions[index], error }));
        }
        Err(error) => return Err(error),
    }
    refused.sort_by_key(|refusal| refusal.index);
    let message = format!("{} of {total} PTRs cannot be created; nothing was written", refused.len());
    Err(Error::Several { message, errors: refused })
}

/// Adds what there is to be said of the names that the addresses have now.
async fn warn(services: &Services, context: &Context, written: &mut [Ptr]) {
    let named: Vec<Pointing> = written.iter().map(|ptr| Pointing { address: ptr.ip, host: &ptr.hostname }).collect();
    let warnings = forward_records::warnings(services, context, &named).await;
    for (ptr, warning) in written.iter_mut().zip(warnings) {
        ptr.warnings.extend(warning);
    }
}

/// Takes the names of an address away; those that went, or would go.
pub async fn delete(services: &Services, context: &Context, zone: ZoneId, ip: &str, dry_run: bool) -> Result<Vec<Ptr>> {
    let (named, access) = locate(services, context, zone, Permission::RecordsDelete).await?;
    let reverse = reverse_zone(&named)?;
    let absent = || Error::NotFound("PTR");
    let name = ip.parse().ok().and_then(|address| reverse.owner_of(address)).ok_or_else(absent)?;
    let view = services.writer.view(&access).await?;
    let key = RrsetKey { name, record_type: RecordType::Ptr };
    let going: Vec<RecordView> = view.records_where(|found| *found == key).collect();
    let operations: Vec<RecordOperation> =
        going.iter().map(|record| RecordOperation::Delete { id: record.id }).collect();
    let grouping = match operations.len() {
        0 => return Err(absent()),
        1 => Grouping::Single,
        _ => Grouping::Together("record.bulk_delete"),
    };
    apply(services, context, access, operations, (grouping, dry_run)).await?;
    Ok(going.into_iter().filter_map(|record| ptr(&reverse, record, Vec::new())).collect())
}

/// The name of an address, in the closest zone that the caller may read.
pub async fn look_up(services: &Services, context: &Context, ip: &str) -> Result<FoundPtr> {
    let address: IpAddr = ip.parse().map_err(|_| Error::invalid("ip", "must be an IPv4 or IPv6 address"))?;
    for (named, access) in covering(services, context, address, Permission::RecordsRead).await? {
        let Ok(reverse) = reverse_zone(&named) else { continue };
        let view = services.writer.view(&access).await?;
        let Some(name) = reverse.owner_of(address) else { continue };
        let key = RrsetKey { name, record_type: RecordType::Ptr };
        let record = view.records_where(|found| *found == key).find(|record| !record.disabled);
        if let Some(ptr) = record.and_then(|record| ptr(&reverse, record, Vec::new())) {
            return Ok(FoundPtr { zone: named, ptr });
        }
    }
    Err(Error::NotFound("PTR"))
}

/// The zones of the caller's tenant in which the PTR of an address may stand and the caller may do this, the closest
/// first.
async fn covering(
    services: &Services,
    context: &Context,
    address: IpAddr,
    permission: Permission,
) -> Result<Vec<(NamedZone, ZoneAccess)>> {
    let mut found = Vec::new();
    let visibility = Visibility::of_lookup(&context.caller);
    for name in reverse::zone_names_over(address) {
        for row in within(zone_rows::named(&services.db, &visibility, &name)).await? {
            if row.tenant == context.caller.tenant
                && row.status != ZoneStatus::Deleted
                && let Ok(pair) = locate(services, context, row.id, permission).await
            {
                found.push(pair);
            }
        }
    }
    Ok(found)
}

fn reverse_zone(zone: &NamedZone) -> Result<ReverseZone> {
    reverse::zone_named(&zone.name).ok_or(Error::NotFound("Reverse zone"))
}

fn addition(zone: &ReverseZone, taken: &[Ptr], wanted: NewPtr) -> Result<RecordOperation> {
    let NewPtr { ip, hostname, ttl } = wanted;
    let address: IpAddr = ip.trim().parse().map_err(|_| Error::invalid("ip", "must be an IPv4 or IPv6 address"))?;
    let name =
        zone.owner_of(address).ok_or_else(|| Error::invalid("ip", format!("{address} is not in {}", zone.network)))?;
    if let Some(other) = taken.iter().find(|ptr| ptr.ip == address) {
        return Err(Error::Conflict {
            message: format!("{address} has the name {} already", other.hostname),
            code: "record_conflict",
            field: Some("ip"),
            conflicts: vec![other.id],
        });
    }
    Ok(RecordOperation::Add { name, record_type: RecordType::Ptr, content: hostname, ttl, disabled: false })
}

async fn apply(
    services: &Services,
    context: &Context,
    access: ZoneAccess,
    operations: Vec<RecordOperation>,
    (grouping, dry_run): (Grouping, bool),
) -> Result<WriteOutcome> {
    let write = ZoneWrite {
        access,
        actor: ActorRecord::from(&context.caller.actor),
        request: context.request.clone(),
        operations,
        grouping,
        dry_run,
        large: None,
    };
    services.writer.apply(write).await
}

fn ptr(zone: &ReverseZone, record: RecordView, warnings: Vec<Warning>) -> Option<Ptr> {
    let RecordView { id, reference: RecordRef { key, content }, ttl, .. } = record;
    let ip = zone.address_at(&key.name)?;
    Some(Ptr { id, ip, hostname: content.trim_end_matches('.').to_owned(), ttl, warnings })
}
