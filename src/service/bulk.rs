//! Many records of one zone in one call: one change, however many they are.

use crate::authz::Permission;
use crate::dns::Warning;
use crate::ids::ZoneId;

use super::context::ActorRecord;
use super::records::{NewRecord, addition};
use super::zone_names::NamedZone;
use super::zone_writer::{Grouping, RecordView, WriteOutcome, ZoneWrite};
use super::zones::locate;
use super::{Context, Error, Refusal, Result, Services};

/// Records to be made together.
#[derive(Debug)]
pub struct NewRecords {
    /// One that could not even be read stands here as what is wrong with it.
    pub records: Vec<Result<NewRecord>>,
    /// Makes those that can be made, rather than all or none.
    pub continue_on_error: bool,
    pub dry_run: bool,
}

/// What became of them.
pub struct Created {
    pub zone: NamedZone,
    pub records: Vec<(RecordView, Vec<Warning>)>,
    /// With `continue_on_error`: those left out, in their order.
    pub refused: Vec<Refusal>,
}

pub async fn create(services: &Services, context: &Context, zone: ZoneId, wanted: NewRecords) -> Result<Created> {
    let (zone, access) = locate(services, context, zone, Permission::RecordsCreate).await?;
    let NewRecords { records, continue_on_error, dry_run } = wanted;
    let total = records.len();
    let (mut operations, mut positions, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for (index, record) in records.into_iter().enumerate() {
        match record.and_then(|record| addition(&zone, record)) {
            Ok(operation) => {
                operations.push(operation);
                positions.push(index);
            }
            Err(error) => refused.push(Refusal { index, error }),
        }
    }
    let action = "record.bulk_create";
    let write = ZoneWrite {
        access,
        actor: ActorRecord::from(&context.caller.actor),
        request: context.request.clone(),
        operations,
        grouping: if continue_on_error { Grouping::EachAlone(action) } else { Grouping::Together(action) },
        // nothing will be written any more: the rest is only asked, so that every failure is told at once
        dry_run: dry_run || (!continue_on_error && !refused.is_empty()),
    };
    let WriteOutcome { operations, refused: more, change: _ } = write_or_refusals(services, write).await?;
    refused.extend(more.into_iter().map(|Refusal { index, error }| Refusal { index: positions[index], error }));
    refused.sort_by_key(|refusal| refusal.index);
    if !continue_on_error && !refused.is_empty() {
        let message = format!("{} of {total} records cannot be created; nothing was written", refused.len());
        return Err(Error::Several { message, errors: refused });
    }
    let records = operations.into_iter().filter_map(|outcome| Some((outcome.after?, outcome.warnings))).collect();
    Ok(Created { zone, records, refused })
}

/// Records that cannot be made are an outcome like any other. Where none is left to be made, the zone still says
/// whether it is there and may be written to.
async fn write_or_refusals(services: &Services, write: ZoneWrite) -> Result<WriteOutcome> {
    match services.writer.apply(write).await {
        Err(Error::Several { message: _, errors }) => {
            Ok(WriteOutcome { operations: Vec::new(), refused: errors, change: None })
        }
        other => other,
    }
}
