//! Many records of one zone in one call: one change, however many they are.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::authz::{Permission, ZoneAccess};
use crate::dns::{OwnerName, Warning};
use crate::ids::{RecordId, ZoneId};

use super::address_ptrs::PtrOutcome;
use super::context::ActorRecord;
use super::records::{self, NewRecord, addition};
use super::zone_names::NamedZone;
use super::zone_writer::{Grouping, RecordOperation, RecordOutcome, RecordView, WriteOutcome, ZoneWrite};
use super::zones::locate;
use super::{Context, Error, Refusal, Result, Services};

/// What is to be done together. One that could not even be read stands here as what is wrong with it.
#[derive(Debug)]
pub struct Bulk<T> {
    pub parts: Vec<Result<T>>,
    /// Does what can be done, rather than all or none.
    pub continue_on_error: bool,
    pub dry_run: bool,
}

/// What became of it.
pub struct BulkDone {
    pub zone: NamedZone,
    /// As they are now, or as they were before they went.
    pub records: Vec<(RecordView, Vec<Warning>)>,
    /// Of those that it was asked for.
    pub ptrs: HashMap<RecordId, PtrOutcome>,
    /// With `continue_on_error`: those left out, in their order.
    pub refused: Vec<Refusal>,
}

pub async fn create(services: &Services, context: &Context, zone: ZoneId, wanted: Bulk<NewRecord>) -> Result<BulkDone> {
    let (zone, access) = locate(services, context, zone, Permission::RecordsCreate).await?;
    let named = zone.clone();
    let work = Work { action: "record.bulk_create", done: "created" };
    let (with_ptr, dry_run) = (with_ptr(&named, &wanted.parts), wanted.dry_run);
    let mut done = run(services, context, (zone, access), work, wanted, |record| addition(&named, record)).await?;
    let wanted: Vec<(RecordView, Option<u32>)> =
        done.records.iter().filter_map(|(view, _)| Some((view.clone(), *with_ptr.get(&address_of(view)?)?))).collect();
    if !wanted.is_empty() {
        let ids: Vec<RecordId> = wanted.iter().map(|(view, _)| view.id).collect();
        let told = records::ptrs(services, context, &named, wanted, dry_run).await;
        done.ptrs = ids.into_iter().zip(told).collect();
    }
    Ok(done)
}

/// The addresses whose PTRs are wanted, as they are known by after the write, and their TTLs.
fn with_ptr(zone: &NamedZone, parts: &[Result<NewRecord>]) -> HashMap<(OwnerName, IpAddr), Option<u32>> {
    let wanted = parts.iter().flatten().filter(|record| record.ptr);
    let address = |record: &NewRecord| {
        Some(((OwnerName::parse(&record.name, &zone.name).ok()?, record.content.trim().parse().ok()?), record.ttl))
    };
    wanted.filter_map(address).collect()
}

fn address_of(view: &RecordView) -> Option<(OwnerName, IpAddr)> {
    Some((view.reference.key.name.clone(), view.reference.content.parse().ok()?))
}

pub async fn delete(services: &Services, context: &Context, zone: ZoneId, wanted: Bulk<RecordId>) -> Result<BulkDone> {
    let (zone, access) = locate(services, context, zone, Permission::RecordsDelete).await?;
    let work = Work { action: "record.bulk_delete", done: "deleted" };
    run(services, context, (zone, access), work, wanted, |id| Ok(RecordOperation::Delete { id })).await
}

/// How a call is audited and spoken of.
#[derive(Clone, Copy)]
struct Work {
    action: &'static str,
    done: &'static str,
}

async fn run<T>(
    services: &Services,
    context: &Context,
    (zone, access): (NamedZone, ZoneAccess),
    Work { action, done }: Work,
    Bulk { parts, continue_on_error, dry_run }: Bulk<T>,
    operation: impl Fn(T) -> Result<RecordOperation>,
) -> Result<BulkDone> {
    let total = parts.len();
    let (mut operations, mut positions, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for (index, part) in parts.into_iter().enumerate() {
        match part.and_then(&operation) {
            Ok(operation) => {
                operations.push(operation);
                positions.push(index);
            }
            Err(error) => refused.push(Refusal { index, error }),
        }
    }
    let write = ZoneWrite {
        access,
        actor: ActorRecord::from(&context.caller.actor),
        request: context.request.clone(),
        operations,
        grouping: if continue_on_error { Grouping::EachAlone(action) } else { Grouping::Together(action) },
        // nothing will be written any more: the rest is only asked, so that every failure is told at once
        dry_run: dry_run || (!continue_on_error && !refused.is_empty()),
        large: None,
    };
    let WriteOutcome { operations, refused: more, .. } = write_or_refusals(services, write).await?;
    refused.extend(more.into_iter().map(|Refusal { index, error }| Refusal { index: positions[index], error }));
    refused.sort_by_key(|refusal| refusal.index);
    if !continue_on_error && !refused.is_empty() {
        let message = format!("{} of {total} records cannot be {done}; nothing was written", refused.len());
        return Err(Error::Several { message, errors: refused });
    }
    let records = operations
        .into_iter()
        .filter_map(|RecordOutcome { before, after, warnings }| Some((after.or(before)?, warnings)))
        .collect();
    Ok(BulkDone { zone, records, ptrs: HashMap::new(), refused })
}

/// Records that cannot be made are an outcome like any other. Where none is left to be made, the zone still says
/// whether it is there and may be written to.
async fn write_or_refusals(services: &Services, write: ZoneWrite) -> Result<WriteOutcome> {
    match services.writer.apply(write).await {
        Err(Error::Several { message: _, errors }) => {
            Ok(WriteOutcome { operations: Vec::new(), refused: errors, change: None, changes: Vec::new(), job: None })
        }
        other => other,
    }
}
