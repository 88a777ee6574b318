//! Settling: one transaction, conditional on still holding the intent, that makes a batch part of history and lets the
//! zone's lock go. Writer and recovery settle by this one function.

use time::OffsetDateTime;

use crate::storage::history::{self, BatchRef, NewChange};
use crate::storage::intents::{self, BatchOutcome, Intent};
use crate::storage::zones::{self, Progress, ZoneRow};
use crate::storage::{Db, Result, StorageError, audit, fences, record_ids, staged, validations, within_write};
use crate::tenancy::ZoneStatus;

use super::payload::{Entry, IdRow, Kind, Payload};

/// How a batch ended, with what is known of PowerDNS now.
pub struct Ending<'a> {
    pub outcome: BatchOutcome,
    pub detail: &'a str,
    pub serial: Option<u32>,
    pub drift: bool,
    pub now: OffsetDateTime,
}

/// Settles; false: the intent is no longer held under this epoch, nothing was written.
///
/// A deadlock is repeated, the condition makes that exact. Any other error leaves the outcome of the commit unknown:
/// look by the change's id, never settle blindly again.
pub async fn settle(db: &Db, intent: &Intent, payload: &Payload, ending: &Ending<'_>) -> Result<bool> {
    const ATTEMPTS: u32 = 5; // deadlocks in a row are rare even under load
    for _ in 1..ATTEMPTS {
        match within_write(attempt(db, intent, payload, ending)).await {
            Err(StorageError::Deadlock(_)) => {}
            other => return other,
        }
    }
    within_write(attempt(db, intent, payload, ending)).await
}

async fn attempt(db: &Db, intent: &Intent, payload: &Payload, ending: &Ending<'_>) -> Result<bool> {
    let mut tx = db.begin().await?;
    // the zone's row first, as everywhere: one order of locks, no deadlocks of our own making
    let row = zones::lock(&mut tx, intent.zone).await?;
    if !intents::release(&mut tx, intent).await? {
        return Ok(false);
    }
    intents::note_outcome(&mut tx, intent, ending.outcome, ending.detail, ending.now).await?;
    if let (BatchOutcome::Applied, Some(row)) = (ending.outcome, row) {
        apply(&mut tx, &row, intent, payload, ending).await?;
    }
    tx.commit().await?;
    Ok(true)
}

async fn apply(
    tx: &mut sqlx::Transaction<'static, sqlx::MySql>,
    row: &ZoneRow,
    intent: &Intent,
    payload: &Payload,
    ending: &Ending<'_>,
) -> Result<()> {
    let Payload { kind, entries, audit: audit_entries, ids_removed, ids_put, record_count, tenant, revision, .. } =
        payload;
    // a withdrawn zone has none: PowerDNS says 0 while the SOA is disabled
    let serial = ending.serial.filter(|serial| *serial != 0);
    let batch = BatchRef {
        id: intent.change,
        zone: intent.zone,
        tenant: *tenant,
        revision: *revision,
        serial,
        now: ending.now,
    };
    history::append(tx, &batch, &new_changes(entries)?).await?;
    audit::append(tx, Some(intent.change), audit_entries).await?;
    let put: Vec<_> = ids_put.iter().filter_map(IdRow::to_row).collect();
    record_ids::replace(tx, intent.zone, ids_removed, &put).await?;
    let progress = Progress {
        revisions: entries.len() as u64,
        serial,
        last_change: intent.change,
        record_count: *record_count,
        drift: ending.drift,
        now: ending.now,
    };
    zones::advance(tx, intent.zone, &progress).await?;
    match kind {
        Kind::Edit => Ok(()),
        Kind::Sweep { fences } => fences::delete(tx, &intent.zone_name, fences).await,
        Kind::GoLive { validation } => {
            zones::set_status(tx, row, ZoneStatus::Active, ending.now).await?;
            staged::clear(tx, intent.zone).await?;
            if let Some(validation) = validation {
                validations::set_status(tx, *validation, "validated", ending.now).await?;
            }
            validations::close_open(tx, intent.zone, "cancelled", ending.now).await.map(|_| ())
        }
        Kind::SetStatus { status } => zones::set_status(tx, row, *status, ending.now).await,
        Kind::Delete => {
            fences::delete_all(tx, &intent.zone_name).await?;
            zones::delete(tx, row).await
        }
    }
}

/// The rows of history that entries make.
pub fn new_changes(entries: &[Entry]) -> Result<Vec<NewChange>> {
    let json = |value: std::result::Result<String, serde_json::Error>| {
        value.map_err(|error| StorageError::Corrupt(error.to_string()))
    };
    entries
        .iter()
        .map(|Entry { change, actor, request, changes }| {
            Ok(NewChange {
                id: *change,
                actor: json(serde_json::to_string(actor))?,
                ip_address: request.ip_address.map(|address| address.to_string()),
                request_id: request.request_id.clone(),
                changes: json(serde_json::to_string(changes))?,
            })
        })
        .collect()
}
