//! Records, one at a time; many are in [`super::bulk`]. Whatever changes a zone goes through the zone writer.

use std::net::{IpAddr, Ipv4Addr};

use crate::authz::Permission;
use crate::dns::{FieldError, OwnerName, RecordRef, RecordType, RrsetKey, Warning, reverse, searched_name};
use crate::ids::{RecordId, ZoneId};
use crate::storage::zones::ZoneRow;

use super::address_ptrs::{self, PtrOutcome, WantedPtr};
use super::context::ActorRecord;
use super::entity_tag::EntityTag;
use super::forward_records::{self, Pointing};
use super::zone_names::NamedZone;
use super::zone_writer::{Grouping, RecordOperation, RecordOutcome, RecordView, WriteOutcome, ZoneView, ZoneWrite};
use super::zones::locate;
use super::{Context, Error, Result, Services};

/// Presentation-form names are at most four times as long as on the wire.
pub(super) const NAME_CHARACTERS_MAX: usize = 1_024;

/// A record to be made.
#[derive(Clone, Debug)]
pub struct NewRecord {
    pub name: String,
    pub record_type: String,
    pub content: String,
    pub ttl: Option<u32>,
    pub disabled: bool,
    /// Of an address: its PTR is wanted, too.
    pub ptr: bool,
}

/// What of a record is to change; None leaves it.
#[derive(Clone, Debug)]
pub struct RecordPatch {
    pub content: Option<String>,
    pub ttl: Option<u32>,
    pub disabled: Option<bool>,
}

/// What a list of records is narrowed by.
#[derive(Clone, Debug, Default)]
pub struct RecordFilter {
    pub record_type: Option<RecordType>,
    /// Part of the owner name, in lower case.
    pub name: Option<String>,
    pub include_system: bool,
    /// Part of the owner name or the content, in lower case.
    pub text: Option<String>,
}

impl RecordFilter {
    /// What a search looks for.
    pub fn search(text: &str, include_system: bool) -> Self {
        Self { text: Some(text.to_lowercase()), include_system, ..Self::default() }
    }

    pub fn new(record_type: Option<&str>, name: Option<&str>, include_system: bool) -> Result<Self> {
        let record_type = record_type.map(RecordType::parse).transpose()?;
        Ok(Self { record_type, name: name.map(searched_name), include_system, text: None })
    }
}

/// A record as it is after a write, or as it was before it went.
pub struct Written {
    pub zone: NamedZone,
    pub record: RecordView,
    pub warnings: Vec<Warning>,
    /// Where it was asked for.
    pub ptr: Option<PtrOutcome>,
}

/// What a check brought.
pub struct Checked {
    pub zone: NamedZone,
    pub record: Option<RecordView>,
    pub errors: Vec<FieldError>,
    pub warnings: Vec<Warning>,
}

/// A zone's records as they stand, to list or to look one up.
pub async fn open(services: &Services, context: &Context, zone: ZoneId) -> Result<ZoneView> {
    let (_, access) = locate(services, context, zone, Permission::RecordsRead).await?;
    services.writer.view(&access).await
}

/// The records that a filter leaves, in order.
pub fn listed(view: &ZoneView, filter: &RecordFilter) -> Vec<RecordView> {
    let RecordFilter { record_type, name, include_system, text } = filter;
    let is_listed = |key: &RrsetKey| {
        let system = key.name.is_apex(&view.row.name) && matches!(key.record_type, RecordType::Soa | RecordType::Ns);
        (*include_system || !system)
            && record_type.as_ref().is_none_or(|wanted| *wanted == key.record_type)
            && name.as_ref().is_none_or(|wanted| key.name.as_str().contains(wanted))
    };
    let is_found = |record: &RecordView| {
        let RecordRef { key, content } = &record.reference;
        text.as_ref().is_none_or(|text| key.name.as_str().contains(text) || content.to_lowercase().contains(text))
    };
    view.records_where(is_listed).filter(is_found).collect()
}

/// A record, with the tag of its RRset.
pub struct Found {
    pub zone: ZoneRow,
    pub record: RecordView,
    pub tag: EntityTag,
}

pub async fn get(services: &Services, context: &Context, zone: ZoneId, id: RecordId) -> Result<Found> {
    let view = open(services, context, zone).await?;
    let record = view.find(id).ok_or(Error::NotFound("Record"))?;
    let tag = view.tag(&record.reference.key).ok_or(Error::NotFound("Record"))?;
    Ok(Found { zone: view.row, record, tag })
}

pub async fn create(
    services: &Services,
    context: &Context,
    zone: ZoneId,
    record: NewRecord,
    dry_run: bool,
) -> Result<Written> {
    let (named, access) = locate(services, context, zone, Permission::RecordsCreate).await?;
    let (with_ptr, ttl) = (record.ptr, record.ttl);
    let operation = addition(&named, record)?;
    let outcome = services.writer.apply(write(context, access, operation, dry_run)).await?;
    let mut written = written(named, outcome)?;
    warn_of_name(services, context, &mut written).await;
    if with_ptr {
        let wanted = vec![(written.record.clone(), ttl)];
        written.ptr = ptrs(services, context, &written.zone, wanted, dry_run).await.pop();
    }
    Ok(written)
}

/// Adds what there is to be said of the name that an address has now, where the record is a PTR of a reverse zone.
async fn warn_of_name(services: &Services, context: &Context, written: &mut Written) {
    let RecordRef { key, content } = &written.record.reference;
    if key.record_type != RecordType::Ptr {
        return;
    }
    if let Some(address) = reverse::zone_named(&written.zone.name).and_then(|zone| zone.address_at(&key.name)) {
        let pointing = Pointing { address, host: content.trim_end_matches('.') };
        let warnings = forward_records::warnings(services, context, &[pointing]).await;
        written.warnings.extend(warnings.into_iter().flatten());
    }
}

/// Writes the PTRs of addresses that were added, with the TTLs that these were given; one outcome for each.
pub(super) async fn ptrs(
    services: &Services,
    context: &Context,
    zone: &NamedZone,
    records: Vec<(RecordView, Option<u32>)>,
    dry_run: bool,
) -> Vec<PtrOutcome> {
    let (mut outcomes, mut wanted, mut places) = (Vec::with_capacity(records.len()), Vec::new(), Vec::new());
    for (place, (record, ttl)) in records.into_iter().enumerate() {
        let RecordRef { key, content } = record.reference;
        // its canonical form
        let address: IpAddr = content.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        outcomes.push(PtrOutcome::skipped(address, "A disabled record has no PTR"));
        if !record.disabled {
            wanted.push(WantedPtr { address, host: key.name, ttl });
            places.push(place);
        }
    }
    let told = address_ptrs::write(services, context, zone.tenant, wanted, dry_run).await;
    for (place, outcome) in places.into_iter().zip(told) {
        outcomes[place] = outcome;
    }
    outcomes
}

pub async fn update(
    services: &Services,
    context: &Context,
    (zone, id): (ZoneId, RecordId),
    patch: RecordPatch,
    dry_run: bool,
) -> Result<Written> {
    let (named, access) = locate(services, context, zone, Permission::RecordsUpdate).await?;
    let RecordPatch { content, ttl, disabled } = patch;
    let operation = RecordOperation::Update { id, content, ttl, disabled };
    let outcome = services.writer.apply(write(context, access, operation, dry_run)).await?;
    let mut written = written(named, outcome)?;
    warn_of_name(services, context, &mut written).await;
    Ok(written)
}

pub async fn delete(
    services: &Services,
    context: &Context,
    (zone, id): (ZoneId, RecordId),
    dry_run: bool,
) -> Result<Written> {
    let (named, access) = locate(services, context, zone, Permission::RecordsDelete).await?;
    let outcome = services.writer.apply(write(context, access, RecordOperation::Delete { id }, dry_run)).await?;
    written(named, outcome)
}

/// What would become of a record: its canonical form, what is wrong with it, what might be. Writes nothing.
pub async fn check(services: &Services, context: &Context, zone: ZoneId, record: NewRecord) -> Result<Checked> {
    let (named, access) = locate(services, context, zone, Permission::RecordsCreate).await?;
    let asked = match addition(&named, record) {
        Ok(operation) => services.writer.apply(write(context, access, operation, true)).await,
        Err(error) => Err(error),
    };
    match asked {
        Ok(outcome) => {
            let Written { zone, record, warnings, ptr: _ } = written(named, outcome)?;
            Ok(Checked { zone, record: Some(record), errors: Vec::new(), warnings })
        }
        Err(Error::Invalid { message, field: Some(field), .. }) => Ok(refused(named, field, message)),
        Err(Error::Conflict { message, field: Some(field), .. }) => Ok(refused(named, field, message)),
        Err(error) => Err(error),
    }
}

fn refused(zone: NamedZone, field: &'static str, message: String) -> Checked {
    Checked { zone, record: None, errors: vec![FieldError { field, message }], warnings: Vec::new() }
}

pub(super) fn addition(zone: &NamedZone, record: NewRecord) -> Result<RecordOperation> {
    let NewRecord { name, record_type, content, ttl, disabled, ptr } = record;
    if name.chars().count() > NAME_CHARACTERS_MAX {
        return Err(Error::invalid("name", "the name is too long"));
    }
    let record_type = RecordType::parse(&record_type)?;
    if ptr && !matches!(record_type, RecordType::A | RecordType::Aaaa) {
        return Err(Error::invalid("ptr", "only an A or AAAA has a PTR"));
    }
    Ok(RecordOperation::Add { record_type, name: OwnerName::parse(&name, &zone.name)?, content, ttl, disabled })
}

fn write(context: &Context, access: crate::authz::ZoneAccess, operation: RecordOperation, dry_run: bool) -> ZoneWrite {
    ZoneWrite {
        access,
        actor: ActorRecord::from(&context.caller.actor),
        request: context.request.clone(),
        operations: vec![operation],
        grouping: Grouping::Single,
        dry_run,
        large: None,
    }
}

fn written(zone: NamedZone, outcome: WriteOutcome) -> Result<Written> {
    let one = outcome.operations.into_iter().next();
    let Some(RecordOutcome { before, after, warnings }) = one else {
        return Err(Error::Internal("a write without an outcome".into()));
    };
    let record = after.or(before).ok_or_else(|| Error::Internal("an outcome without a record".into()))?;
    Ok(Written { zone, record, warnings, ptr: None })
}
