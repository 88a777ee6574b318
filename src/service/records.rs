//! Records, one at a time. Whatever changes a zone goes through the zone writer.

use crate::authz::Permission;
use crate::dns::{FieldError, OwnerName, RecordType, Warning};
use crate::ids::{RecordId, ZoneId};
use crate::storage::zones::ZoneRow;

use super::context::ActorRecord;
use super::zone_writer::{RecordOperation, RecordOutcome, RecordView, WriteOutcome, ZoneWrite};
use super::zones::load;
use super::{Context, Error, Result, Services};

/// Presentation-form names are at most four times as long as on the wire.
const NAME_CHARACTERS_MAX: usize = 1_024;

/// A record to be made.
#[derive(Clone, Debug)]
pub struct NewRecord {
    pub name: String,
    pub record_type: String,
    pub content: String,
    pub ttl: Option<u32>,
    pub disabled: bool,
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
    pub record_type: Option<String>,
    pub name: Option<String>,
    pub include_system: bool,
}

/// A record as it is after a write, or as it was before it went.
pub struct Written {
    pub zone: ZoneRow,
    pub record: RecordView,
    pub warnings: Vec<Warning>,
}

/// What a check brought.
pub struct Checked {
    pub zone: ZoneRow,
    pub record: Option<RecordView>,
    pub errors: Vec<FieldError>,
    pub warnings: Vec<Warning>,
}

pub async fn list(
    services: &Services,
    context: &Context,
    zone: ZoneId,
    filter: &RecordFilter,
) -> Result<(ZoneRow, Vec<RecordView>)> {
    let (_, access) = load(services, context, zone, Permission::RecordsRead).await?;
    let wanted_type = filter.record_type.as_deref().map(RecordType::parse).transpose()?;
    let wanted_name = filter.name.as_ref().map(|name| name.to_lowercase());
    let view = services.writer.view(&access).await?;
    let records = view
        .records()
        .filter(|record| {
            let key = &record.reference.key;
            let system =
                key.name.is_apex(&view.row.name) && matches!(key.record_type, RecordType::Soa | RecordType::Ns);
            (filter.include_system || !system)
                && wanted_type.as_ref().is_none_or(|wanted| *wanted == key.record_type)
                && wanted_name.as_ref().is_none_or(|wanted| key.name.as_str().contains(wanted))
        })
        .collect();
    Ok((view.row, records))
}

pub async fn get(services: &Services, context: &Context, zone: ZoneId, id: RecordId) -> Result<(ZoneRow, RecordView)> {
    let (_, access) = load(services, context, zone, Permission::RecordsRead).await?;
    let view = services.writer.view(&access).await?;
    let record = view.find(id).ok_or(Error::NotFound("Record"))?;
    Ok((view.row, record))
}

pub async fn create(
    services: &Services,
    context: &Context,
    zone: ZoneId,
    record: NewRecord,
    dry_run: bool,
) -> Result<Written> {
    let (row, access) = load(services, context, zone, Permission::RecordsCreate).await?;
    let operation = addition(&row, record)?;
    let outcome = services.writer.apply(write(context, access, operation, dry_run)).await?;
    written(row, outcome)
}

pub async fn update(
    services: &Services,
    context: &Context,
    (zone, id): (ZoneId, RecordId),
    patch: RecordPatch,
    dry_run: bool,
) -> Result<Written> {
    let (row, access) = load(services, context, zone, Permission::RecordsUpdate).await?;
    let RecordPatch { content, ttl, disabled } = patch;
    let operation = RecordOperation::Update { id, content, ttl, disabled };
    let outcome = services.writer.apply(write(context, access, operation, dry_run)).await?;
    written(row, outcome)
}

pub async fn delete(
    services: &Services,
    context: &Context,
    (zone, id): (ZoneId, RecordId),
    dry_run: bool,
) -> Result<Written> {
    let (row, access) = load(services, context, zone, Permission::RecordsDelete).await?;
    let outcome = services.writer.apply(write(context, access, RecordOperation::Delete { id }, dry_run)).await?;
    written(row, outcome)
}

/// What would become of a record: its canonical form, what is wrong with it, what might be. Writes nothing.
pub async fn check(services: &Services, context: &Context, zone: ZoneId, record: NewRecord) -> Result<Checked> {
    let (row, access) = load(services, context, zone, Permission::RecordsCreate).await?;
    let asked = match addition(&row, record) {
        Ok(operation) => services.writer.apply(write(context, access, operation, true)).await,
        Err(error) => Err(error),
    };
    match asked {
        Ok(outcome) => {
            let Written { zone, record, warnings } = written(row, outcome)?;
            Ok(Checked { zone, record: Some(record), errors: Vec::new(), warnings })
        }
        Err(Error::Invalid { message, field: Some(field), .. }) => Ok(refused(row, field, message)),
        Err(Error::Conflict { message, field: Some(field), .. }) => Ok(refused(row, field, message)),
        Err(error) => Err(error),
    }
}

fn refused(zone: ZoneRow, field: &'static str, message: String) -> Checked {
    Checked { zone, record: None, errors: vec![FieldError { field, message }], warnings: Vec::new() }
}

fn addition(row: &ZoneRow, record: NewRecord) -> Result<RecordOperation> {
    let NewRecord { name, record_type, content, ttl, disabled } = record;
    if name.chars().count() > NAME_CHARACTERS_MAX {
        return Err(Error::invalid("name", "the name is too long"));
    }
    Ok(RecordOperation::Add {
        record_type: RecordType::parse(&record_type)?,
        name: OwnerName::parse(&name, &row.name)?,
        content,
        ttl,
        disabled,
    })
}

fn write(context: &Context, access: crate::authz::ZoneAccess, operation: RecordOperation, dry_run: bool) -> ZoneWrite {
    ZoneWrite {
        access,
        actor: ActorRecord::from(&context.caller.actor),
        request: context.request.clone(),
        operations: vec![operation],
        dry_run,
    }
}

fn written(zone: ZoneRow, outcome: WriteOutcome) -> Result<Written> {
    let one = outcome.operations.into_iter().next();
    let Some(RecordOutcome { before, after, warnings }) = one else {
        return Err(Error::Internal("a write without an outcome".into()));
    };
    let record = after.or(before).ok_or_else(|| Error::Internal("an outcome without a record".into()))?;
    Ok(Written { zone, record, warnings })
}
